"""Alignment of groups against gradients by autograd, and its invariances."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gradspec.capture import SpectraRecorder
from gradspec.capture._alignment import ALIGNMENTS, Leading
from gradspec.capture.errors import CaptureError

NAMES = ["a", "b", "c"]


def naive(a, b, k):
    """Cosine, and overlap and largest angle of the spaces of left and right singular vectors, from projections."""
    found = [float((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b))]
    u, _, vt = np.linalg.svd(a)
    x, _, yt = np.linalg.svd(b)
    for one, other in ((u[:, :k], x[:, :k]), (vt[:k].T, yt[:k].T)):
        projections = one @ one.T, other @ other.T
        found.append(float(np.trace(projections[0] @ projections[1])) / k)
        # The gap of two spaces of one dimension is the sine of their largest angle (Golub and Van Loan, section 2.5.3).
        gap = np.linalg.norm(projections[0] - projections[1], 2)
        found.append(float(np.degrees(np.arcsin(min(gap, 1.0)))))
    return found


class Convolutional(torch.nn.Module):
    """A layer with more positions than channels, whose weight is on the parameter side, and a linear one."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv1d(3, 5, 3)
        self.head = torch.nn.Linear(5, 3)

    def forward(self, x):
        return self.head(torch.tanh(self.conv(x)).mean(-1))


def record(model, x, labels, targets, names, path=None):
    recorder = SpectraRecorder(model, names, keep_grams=True, path=path)
    with recorder.step(labels, epoch=4, samples=torch.arange(len(x))):
        torch.nn.functional.cross_entropy(model(x), targets).backward()
    return recorder


@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize("kind", ["sample side", "parameter side"])
def test_alignment_is_that_of_the_gradients_of_each_group_and_of_all_others(kind, on_disk, tmp_path):
    torch.manual_seed(0)
    x = torch.randn(9, 12) if kind == "sample side" else torch.randn(9, 3, 30)
    model = (
        torch.nn.Sequential(torch.nn.Linear(12, 10), torch.nn.Tanh(), torch.nn.Linear(10, 3))
        if kind == "sample side"
        else Convolutional()
    )
    labels, targets = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1, -1]), torch.randint(0, 3, (9,))
    tree = record(model, x, labels, targets, NAMES, tmp_path / "s.nc" if on_disk else None).alignment(labels)
    assert tree["group"].values.tolist() == [*NAMES, "pooled"] and tree["epoch"].values.tolist() == [4]
    for group in range(3):
        gradients = []
        for members in (labels == group, (labels != group) & (labels >= 0)):
            model.zero_grad()
            losses = torch.nn.functional.cross_entropy(model(x), targets, reduction="none")
            (losses * members).sum().backward()
            gradients.append(
                {name: p.grad.double().flatten(1).numpy() for name, p in model.named_parameters() if p.ndim > 1}
            )
        for name in gradients[0]:
            expected = naive(gradients[0][name], gradients[1][name], 2)
            found = [tree[name][measure].values[0, group] for measure in ALIGNMENTS]
            np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3, err_msg=f"{name} {NAMES[group]}")
    assert all(np.isnan(tree[name][measure].values[0, -1]) for name in gradients[0] for measure in ALIGNMENTS)


def test_two_classes_pull_the_last_layer_apart():
    """Rows of the gradient of a two-class softmax are opposite, so that it has rank 1, and one vector on each side."""
    torch.manual_seed(0)
    model, x = torch.nn.Linear(6, 2), torch.randn(8, 6)
    labels = torch.arange(8) % 2
    tree = record(model, x, labels, labels, ["a", "b"]).alignment(labels)
    assert tree["weight"]["output_overlap"].values[0, :2] == pytest.approx([1, 1])
    cosine, overlap = (tree["weight"][name].values[0, 0] for name in ("gradient_cosine", "input_overlap"))
    assert cosine**2 == pytest.approx(overlap)


def test_without_another_group_and_without_kept_steps():
    model, x = torch.nn.Linear(6, 2), torch.randn(4, 6)
    labels = torch.zeros(4, dtype=torch.long)
    tree = record(model, x, labels, labels, ["a", "b"]).alignment(labels)
    assert all(np.isnan(tree["weight"][name].values).all() for name in ALIGNMENTS)
    with pytest.raises(CaptureError, match="no step was kept"):
        SpectraRecorder(torch.nn.Linear(6, 2), ["a", "b"]).alignment(labels)


matrices = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).normal(size=(2, 7, 5)))


def compare(a, b, shape=(7, 5)):
    return np.array(Leading.of(torch.from_numpy(a), shape).compare(Leading.of(torch.from_numpy(b), shape)))


@settings(max_examples=50, deadline=None)
@given(matrices, st.floats(1e-6, 1e6))
def test_alignment_is_symmetric_bounded_and_blind_to_scale_and_rotation(pair, factor):
    a, b = pair
    found = compare(a, b)
    np.testing.assert_allclose(found, naive(a, b, 2), rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(found, compare(b, a), atol=1e-6)
    np.testing.assert_allclose(found, compare(factor * a, b), atol=1e-6)
    left, right = np.linalg.qr(a @ a.T)[0], np.linalg.qr(b.T @ b)[0]
    np.testing.assert_allclose(found, compare(left @ a @ right, left @ b @ right), atol=1e-5)
    assert -1 <= found[0] <= 1 and (found[[1, 3]] <= 1 + 1e-12).all() and (found[[2, 4]] <= 90 + 1e-9).all()
    np.testing.assert_allclose(compare(a, -a), [-1, 1, 0, 1, 0], atol=1e-4)
    assert np.isnan(compare(a, np.zeros_like(a))).all()


def test_regrouped_steps_do_not_carry_the_loss_of_the_groups_of_training():
    model, x = torch.nn.Linear(6, 2), torch.randn(6, 6)
    labels = torch.arange(6) % 2
    recorder = SpectraRecorder(model, ["a", "b"], keep_grams=True)
    with recorder.step(labels, samples=torch.arange(6)) as step:
        model(x).square().mean().backward()
        step.record(loss=1.0, group_loss=[0.5, 1.5])
    for n_groups in (2, 3):
        losses = recorder.regroup(torch.arange(6) % n_groups, NAMES[:n_groups])["group_loss"].values
        np.testing.assert_array_equal(losses, [[np.nan] * n_groups + [1.0]])
    np.testing.assert_array_equal(recorder.spectra()["group_loss"].values, [[0.5, 1.5, 1.0]])
