"""Other groupings of kept steps: the spectra that recording under those labels would have given."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import xarray as xr
from capture_cases import BATCH, CASE, GROUPS
from capture_reference import TOLERANCE, assert_trees_close
from torch import Tensor

from gradspec.capture import CaptureError, GroupError, SpectraRecorder
from gradspec.capture.normalization import per_group_mean

NAMES = ["control", "patient"]
MIXED = torch.tensor(GROUPS["mixed"])
# Sizes of the batches of three steps.
SIZES = (7, 4, 7)

LABELS = {
    **{pattern: [torch.tensor(GROUPS[pattern])[:size] for size in SIZES] for pattern in GROUPS},
    "permuted": [MIXED.flip(0)[:7], torch.tensor([1, 1, 0, 0]), torch.tensor([0, 0, 1, 0, 1, 1, 1])],
}

MODELS = [
    "linear_wide", "linear", "linear_4d", "linear_3d_few_rows", "linear_shared_rows", "linear_shared_mixed", "conv2d",
    "conv2d_groups", "lstm_deep", "lstm_cell", "attention", "attention_few_rows", "encoder", "embedding_padded",
    "embedding_sparse", "tied_embedding_vectors", "lstm_vectors",
]  # fmt: skip


def record(
    name: str, labels: list[Tensor], names: list[str] = NAMES, accumulated: bool = False, **options: object
) -> SpectraRecorder:
    """A recorder that saw three steps, or their batches in a single one."""
    model, x, y = CASE[name].make()
    recorder = SpectraRecorder(model, names, extras=CASE[name].extras, **options)

    def backward(step: int) -> None:
        size = SIZES[step]
        F.cross_entropy(model(x.roll(step, 0)[:size] + step), y[:size]).backward()

    if accumulated:
        with recorder.accumulate() as opened:
            for step, group in enumerate(labels):
                with opened.batch(group):
                    backward(step)
        return recorder
    for step, group in enumerate(labels):
        with recorder.step(group, epoch=step) as opened:
            backward(step)
            opened.record(loss=float(step))
    return recorder


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        (name, pattern)
        for name in MODELS
        for pattern in LABELS
        if pattern in ("permuted", "rest") or name in ("linear_wide", "conv2d_groups", "embedding_padded")
    ],
)
def test_another_grouping_gives_what_recording_under_it_would(name: str, pattern: str) -> None:
    kept = record(name, LABELS["mixed"], keep_grams=True)
    regrouped = kept.regroup(LABELS[pattern])
    expected = record(name, LABELS[pattern]).spectra()
    assert_trees_close(regrouped, expected, TOLERANCE)
    for known in ("step", "epoch", "loss"):
        xr.testing.assert_equal(regrouped[known], expected[known])
    assert regrouped.attrs["regrouped"] == 1


@pytest.mark.parametrize("name", MODELS)
def test_keeping_steps_does_not_change_their_spectra(name: str) -> None:
    assert_trees_close(
        record(name, LABELS["rest"], keep_grams=True).spectra(), record(name, LABELS["rest"]).spectra(), TOLERANCE
    )


@pytest.mark.parametrize("pattern", ["permuted", "rest"])
@pytest.mark.parametrize("name", MODELS)
def test_accumulated_batches_are_regrouped_together(name: str, pattern: str) -> None:
    kept = record(name, LABELS["mixed"], accumulated=True, keep_grams=True)
    expected = record(name, LABELS[pattern], accumulated=True).spectra()
    assert_trees_close(kept.regroup([torch.cat(LABELS[pattern])]), expected, TOLERANCE)


@pytest.mark.parametrize("name", ["linear_wide", "linear_4d", "embedding_padded"])
def test_three_groups_in_place_of_two(name: str) -> None:
    names = ["young", "middle", "old"]
    labels = [torch.arange(size) % 4 - 1 for size in SIZES]
    regrouped = record(name, LABELS["mixed"], keep_grams=True).regroup(labels, names)
    assert regrouped["group"].values.tolist() == [*names, "pooled"]
    assert_trees_close(regrouped, record(name, labels, names).spectra(), TOLERANCE)


@pytest.mark.parametrize("name", MODELS)
def test_steps_kept_in_files_are_those_kept_in_memory(name: str, tmp_path: Path) -> None:
    in_memory = record(name, LABELS["mixed"], keep_grams=True)
    in_file = record(name, LABELS["mixed"], keep_grams=True, path=tmp_path / "spectra.nc")
    in_file.flush()
    assert sorted(path.name for path in (tmp_path / "spectra.grams").iterdir()) == [
        f"step-{step:010d}.npz" for step in range(3)
    ]
    assert_trees_close(in_file.regroup(LABELS["permuted"]), in_memory.regroup(LABELS["permuted"]), TOLERANCE)


def test_kept_files_serve_the_recorder_of_a_later_run(tmp_path: Path) -> None:
    expected = record("linear_4d", LABELS["mixed"], keep_grams=True, path=tmp_path / "spectra.nc")
    regrouped = expected.regroup(LABELS["sorted"])
    expected.detach()
    model = CASE["linear_4d"].make()[0]
    later = SpectraRecorder(model, NAMES, keep_grams=True, path=tmp_path / "spectra.nc", resume=True)
    xr.testing.assert_equal(later.regroup(LABELS["sorted"]), regrouped)


def test_activations_and_deltas_on_the_sample_side_are_regrouped_too() -> None:
    kinds = ("gradient", "activation", "delta")
    regrouped = record("linear_wide", LABELS["mixed"], keep_grams=True, kinds=kinds).regroup(LABELS["rest"])
    expected = record("linear_wide", LABELS["rest"], kinds=kinds).spectra()
    for kind in kinds:
        first, second = regrouped["0.weight"][kind].values, expected["0.weight"][kind].values
        np.testing.assert_allclose(first, second, rtol=0, atol=1e-12 * np.nanmax(second))


@pytest.mark.parametrize("kinds", [("activation",), ("gradient", "activation")])
def test_on_the_parameter_side_there_are_gradients_alone(kinds: tuple[str, ...]) -> None:
    regrouped = record("linear_4d", LABELS["mixed"], keep_grams=True, kinds=kinds).regroup(LABELS["rest"])
    assert ("gradient" in regrouped["body.weight"].data_vars) == ("gradient" in kinds)
    assert "activation" not in regrouped["body.weight"].data_vars


@pytest.mark.parametrize("name", ["linear_wide", "linear_4d"])
def test_labels_are_looked_up_by_the_numbers_of_the_samples(name: str) -> None:
    model, x, y = CASE[name].make()
    order = torch.tensor([12, 3, 0, 7, 9, 20, 1])
    labels = torch.arange(21) % 3 - 1
    trees = []
    for keep in (True, False):
        with SpectraRecorder(model, NAMES, keep_grams=keep) as recorder:
            for step in range(2):
                samples = order.roll(step)
                with recorder.step(MIXED if keep else labels[samples], samples=samples):
                    F.cross_entropy(model(x), y).backward()
        trees.append(recorder.regroup(labels) if keep else recorder.spectra())
    assert_trees_close(*trees, TOLERANCE)
    with pytest.raises(CaptureError, match=r"20 labels, but step 0 saw sample 20"):
        recorder_with(samples=order).regroup(labels[:20])


def recorder_with(**options: object) -> SpectraRecorder:
    """A recorder that kept one step."""
    model, x, y = CASE["linear_wide"].make()
    recorder = SpectraRecorder(model, NAMES, keep_grams=True)
    with recorder.step(MIXED, **options):
        F.cross_entropy(model(x), y).backward()
    return recorder


def test_one_step_in_so_many_is_kept() -> None:
    model, x, y = CASE["linear_wide"].make()
    recorder = SpectraRecorder(model, NAMES, keep_grams=3)
    for _ in range(7):
        with recorder.step(MIXED):
            F.cross_entropy(model(x), y).backward()
    regrouped = recorder.regroup([MIXED] * 3)
    assert regrouped["step"].values.tolist() == [0, 3, 6]
    assert recorder.spectra().sizes["step"] == 7


def test_kept_steps_are_among_those_recorded() -> None:
    model, x, y = CASE["linear_wide"].make()
    recorder = SpectraRecorder(model, NAMES, keep_grams=2, every=3)
    for _ in range(7):
        with recorder.step(MIXED):
            F.cross_entropy(model(x), y).backward()
    assert recorder.regroup([MIXED] * 2)["step"].values.tolist() == [0, 6]


@pytest.mark.parametrize("name", ["linear_wide", "linear_4d"])
def test_scale_of_the_loss_and_weights_of_the_samples_are_kept(name: str) -> None:
    model, x, y = CASE[name].make()
    weight = torch.linspace(0.5, 2, BATCH, dtype=torch.float64)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    recorder = SpectraRecorder(model, NAMES, keep_grams=True, scaler=scaler)
    permuted = LABELS["permuted"][0]
    for group in (MIXED, permuted):
        with recorder.step(group, weight=weight):
            scaler.scale((F.cross_entropy(model(x), y, reduction="none") * weight).sum() / weight.sum()).backward()
    regrouped = recorder.regroup([MIXED, MIXED])
    first = recorder.spectra().isel(step=[0])
    assert_trees_close(regrouped.isel(step=[0]), first, TOLERANCE)
    assert_trees_close(recorder.regroup([MIXED, permuted]), recorder.spectra(), TOLERANCE)
    assert "normalization" in per_group_mean(regrouped, weighted=True).attrs


def test_labels_that_do_not_fit_are_refused() -> None:
    recorder = recorder_with()
    with pytest.raises(CaptureError, match="7 samples, but 6 labels"):
        recorder.regroup([MIXED[:6]])
    with pytest.raises(CaptureError, match="7 samples, but none"):
        recorder.regroup([])
    with pytest.raises(CaptureError, match="labels for 2 steps, but 1 were kept"):
        recorder.regroup([MIXED, MIXED])
    with pytest.raises(CaptureError, match="does not know which samples"):
        recorder.regroup(MIXED)
    with pytest.raises(GroupError, match="-1 … 1"):
        recorder.regroup([MIXED + 1])
    with pytest.raises(GroupError, match="integers"):
        recorder.regroup([MIXED.float()])


def test_nothing_kept_is_an_error() -> None:
    recorder = record("linear_wide", LABELS["mixed"])
    with pytest.raises(CaptureError, match="keep_grams=True"):
        recorder.regroup([])
