"""How right singular values are, relative to the rows that were captured: 1e-12 and 1e-6 of the largest."""

import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from capture_cases import CASES, GROUPS
from capture_reference import assert_spectra_equal, conv_rows, rows_of
from torch import Tensor, nn

from gradspec.capture import SpectraRecorder, _solve
from gradspec.capture._solve import small_gram, span_of_triangle, triangle, triangle_of_long

NAMES = ["control", "patient"]
KINDS = ("gradient", "activation", "delta")


def members(group: Tensor) -> list[Tensor]:
    """Samples of each group, then all."""
    return [torch.nonzero(group == label).flatten() for label in range(2)] + [torch.arange(len(group))]


def singular_values(matrix: Tensor) -> np.ndarray:
    return torch.linalg.svdvals(matrix.double()).numpy()


@pytest.mark.parametrize("pattern", ["mixed", "rest", "one_sample"])
@pytest.mark.parametrize(
    ("name", "layer", "route", "tolerance"),
    [
        ("linear_wide", "0", "sample side", 1e-12),
        ("linear", "0", "sample side", 1e-12),
        ("linear_3d_few_rows", "body", "sample side", 1e-12),
        ("linear_4d", "body", "parameter side", 1e-6),
        ("conv2d", "body", "parameter side", 1e-6),
    ],
)
def test_all_kinds_in_float32_equal_those_of_the_rows(
    name: str, layer: str, route: str, tolerance: float, pattern: str
) -> None:
    case = next(case for case in CASES if case.name == name)
    model, x, y = case.make(torch.float32)
    module = model.get_submodule(layer)
    h, delta = rows_of(module, lambda: F.cross_entropy(model(x), y))
    h, delta = conv_rows(module, h, delta) if isinstance(module, nn.Conv2d) else (h, delta)
    group = torch.tensor(GROUPS[pattern])

    recorder = SpectraRecorder(model, NAMES, kinds=KINDS)
    with recorder.step(group):
        F.cross_entropy(model(x), y).backward()
    node = recorder.spectra()[f"{layer}.weight"]
    assert node.attrs["route"] == route
    for position, index in enumerate(members(group)):
        h_g, delta_g = h[index].flatten(0, -2).double(), delta[index].flatten(0, -2).double()
        expected = {"gradient": delta_g.mT @ h_g, "activation": h_g, "delta": delta_g}
        for kind in KINDS:
            assert_spectra_equal(node[kind].values[0, position], singular_values(expected[kind]), tolerance)


def test_blocks_of_a_grouped_convolution_have_rows_of_their_own() -> None:
    case = next(case for case in CASES if case.name == "conv2d_groups")
    model, x, y = case.make()
    h, delta = rows_of(model.body, lambda: F.cross_entropy(model(x), y))
    h, delta = conv_rows(model.body, h, delta)
    recorder = SpectraRecorder(model, NAMES, kinds=KINDS)
    with recorder.step(torch.tensor(GROUPS["mixed"])):
        F.cross_entropy(model(x), y).backward()
    for block, (h_block, delta_block) in enumerate(zip(h.chunk(2, -1), delta.chunk(2, -1), strict=True)):
        node = recorder.spectra()[f"body.weight/block{block}"]
        for position, index in enumerate(members(torch.tensor(GROUPS["mixed"]))):
            h_g, delta_g = h_block[index].flatten(0, 1), delta_block[index].flatten(0, 1)
            for kind, matrix in (("gradient", delta_g.mT @ h_g), ("activation", h_g), ("delta", delta_g)):
                assert_spectra_equal(node[kind].values[0, position], singular_values(matrix), 1e-7)


def test_a_gradient_of_low_rank_has_no_noise_in_its_tail() -> None:
    """Gram matrices alone would leave singular values of 1e-8 σ₁ where there are none."""
    torch.manual_seed(0)
    layer = nn.Linear(50, 40, bias=False).double()
    x = torch.randn(12, 50, dtype=torch.float64)
    direction = torch.randn(2, 40, dtype=torch.float64)
    recorder = SpectraRecorder(layer, NAMES, kinds=KINDS)
    with recorder.step(torch.arange(12) % 2):
        (layer(x) @ direction.mT * torch.randn(12, 2, dtype=torch.float64)).sum().backward()
    for kind in ("gradient", "delta"):
        for values in recorder.spectra()["weight"][kind].values[0]:
            known = values[~np.isnan(values)]
            assert known[1] > 1e-3 * known[0]
            assert (known[2:] < 1e-13 * known[0]).all()


def spectrum_of_rows(h: Tensor, delta: Tensor, index: slice) -> Tensor:
    """By the factors of all rows, as the recorder does."""
    triangles = torch.stack([triangle_of_long(h), triangle_of_long(delta)])
    of_h, of_delta = span_of_triangle(triangles, index.start, index.stop)
    return torch.linalg.svdvals(of_delta @ of_h.mT)


def test_exact_low_rank_comes_out_as_zero() -> None:
    generator = torch.Generator().manual_seed(0)
    h = torch.randn(8, 20, dtype=torch.float64, generator=generator)
    delta = torch.randn(8, 2, dtype=torch.float64, generator=generator) @ torch.eye(2, 15, dtype=torch.float64)
    for index in (slice(0, 8), slice(2, 7)):
        values = spectrum_of_rows(h, delta, index)
        assert (values[2:] < 1e-14 * values[0]).all()


def test_known_singular_values_down_to_rounding() -> None:
    generator = torch.Generator().manual_seed(0)
    q_h, q_delta = (
        torch.linalg.qr(torch.randn(width, 16, dtype=torch.float64, generator=generator)).Q for width in (40, 30)
    )
    expected = torch.logspace(0, -15, 16, dtype=torch.float64)
    half = expected.sqrt()[:, None]
    for index in (slice(0, 16), slice(0, 5), slice(9, 16)):
        values = spectrum_of_rows(half * q_h.mT, half * q_delta.mT, index)
        known = expected[index]
        assert ((values - known).abs() <= 1e-14 * known[0]).all()


@pytest.mark.parametrize("apart", [1e-1, 1e-2, 1e-3, 1e-4, 1e-6])
@pytest.mark.parametrize("n_rows", [4, 16, 64])
def test_rows_that_hardly_differ_keep_their_digits(n_rows: int, apart: float) -> None:
    """As those of the samples of a class do, whose Gram matrix is singular to rounding."""
    generator = torch.Generator().manual_seed(0)
    is_second = torch.arange(n_rows) % 2
    for _ in range(20):
        of_class = torch.randn(2, 10 * n_rows, dtype=torch.float64, generator=generator)
        rows = of_class[is_second] + apart * torch.randn(n_rows, 10 * n_rows, dtype=torch.float64, generator=generator)
        delta = torch.randn(n_rows, 3 * n_rows, dtype=torch.float64, generator=generator)
        for other in (delta, delta - delta.mean(0)):  # the latter takes out what the rows share
            for h in (rows, rows.relu(), 1e-3 * rows):
                expected = torch.linalg.svdvals(triangle(other) @ triangle(h).mT)
                values = torch.linalg.svdvals(triangle(other) @ triangle_of_long(h).mT)
                assert ((values - expected).abs() <= 1e-12 * expected[0]).all()


@pytest.mark.parametrize("sine", [0.85, 0.95, 0.985, 0.99, 0.999])
def test_pivots_that_hide_a_small_eigenvalue_mislead_nobody(sine: float) -> None:
    """Rows of Kahan's (1966) matrix: its pivots fall slowly, and its smallest singular value fast."""
    generator = torch.Generator().manual_seed(0)
    for n_rows in (16, 32, 64):
        upper = torch.eye(n_rows, dtype=torch.float64)
        upper -= (1 - sine**2) ** 0.5 * torch.ones(n_rows, n_rows, dtype=torch.float64).triu(1)
        kahan = torch.logspace(0, n_rows - 1, n_rows, sine, dtype=torch.float64)[:, None] * upper
        basis = torch.linalg.qr(torch.randn(10 * n_rows, n_rows, dtype=torch.float64, generator=generator)).Q
        other = triangle(torch.randn(n_rows, 3 * n_rows, dtype=torch.float64, generator=generator))
        h = (basis @ kahan).mT.contiguous()
        expected = torch.linalg.svdvals(other @ triangle(h).mT)
        values = torch.linalg.svdvals(other @ triangle_of_long(h).mT)
        assert ((values - expected).abs() <= 1e-12 * expected[0]).all()


@pytest.mark.parametrize("decay", [0, 3, 6, 12])
def test_factors_of_all_rows_serve_a_group_of_much_smaller_ones(decay: int) -> None:
    """Relative to the group's own largest singular value, not to that of the batch."""
    generator = torch.Generator().manual_seed(decay)
    for _ in range(10):
        scale = torch.logspace(0, -decay, 12, dtype=torch.float64)[:, None]
        h = scale * torch.randn(12, 30, dtype=torch.float64, generator=generator).relu()
        delta = scale * torch.randn(12, 25, dtype=torch.float64, generator=generator)
        for index in (slice(0, 4), slice(4, 9), slice(9, 12), slice(0, 12)):
            own = torch.linalg.svdvals(triangle(delta[index]) @ triangle(h[index]).mT)[: len(h[index])]
            assert ((spectrum_of_rows(h, delta, index) - own).abs() <= 1e-12 * own[0]).all()


@pytest.mark.parametrize("by_numpy", [True, False])
@pytest.mark.parametrize("shape", [(3, 7), (7, 3), (65, 90), (131, 80), (64, 64)])
def test_gram_matrix_is_the_product(monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int], by_numpy: bool) -> None:
    monkeypatch.setattr(_solve, "NUMPY_HAS_ONE_THREAD", by_numpy)
    matrix = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = matrix @ matrix.mT if shape[0] <= shape[1] else matrix.mT @ matrix
    assert torch.allclose(small_gram(matrix), expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_gram_matrix_of_what_is_not_finite_is_not_either_and_warns_of_nothing(
    monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    monkeypatch.setattr(_solve, "NUMPY_HAS_ONE_THREAD", True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not small_gram(torch.full((2, 3), value, dtype=torch.float64)).isfinite().any()
