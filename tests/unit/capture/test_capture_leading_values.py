"""Leading singular values lie within their bounds, beside the SVD in double precision."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from gradspec.capture._leading import Leading, _shortest, frobenius_norm, leading_values

COUNT = 4


def spectra_of(shape: tuple[int, int], values: Tensor, seed: int) -> Tensor:
    """A matrix of some singular values and random singular vectors."""
    generator = torch.Generator().manual_seed(seed)
    left, right = (
        torch.linalg.qr(torch.randn(side, len(values), generator=generator, dtype=torch.float64)).Q for side in shape
    )
    return left * values @ right.mT


def decays(side: int) -> dict[str, Tensor]:
    index = torch.arange(side, dtype=torch.float64)
    return {
        "equal": torch.ones(side, dtype=torch.float64),
        "slow": 1 / (index + 1).sqrt(),
        "power law": 1 / (index + 1),
        "geometric": 0.8**index,
        "one large": torch.where(index == 0, 1.0, 1e-3),
        "low rank": torch.where(index < 3, 1.0, 0.0).double(),
        "cluster across the cut": torch.where(index < 7, 1.0, 0.01).double(),
        "cliff": torch.where(index < COUNT, 1.0, 1e-6).double(),
        "tiny": 1e-25 / (index + 1),
        "huge": 1e25 / (index + 1),
    }


def assert_within(gradient: Tensor, count: int = COUNT) -> None:
    exact = torch.linalg.svdvals(gradient.double())
    found = leading_values(gradient, count)
    assert ((found.values - exact[:count]).abs() <= found.bounds).all()
    assert (found.values.diff() <= 0).all()
    assert float(found.norm) == pytest.approx(float(exact.norm()), rel=1e-6)


@pytest.mark.parametrize("decay", decays(1))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(40, 40), (40, 90), (90, 40)])
def test_values_lie_within_their_bounds(decay: str, dtype: torch.dtype, shape: tuple[int, int]) -> None:
    assert_within(spectra_of(shape, decays(40)[decay], seed=0).to(dtype))


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(40, 70),
    columns=st.integers(40, 70),
    exponent=st.floats(0, 4),
    rank=st.integers(1, 70),
    noise=st.sampled_from([0.0, 1e-6, 1e-3, 0.1]),
    seed=st.integers(0, 10_000),
)
def test_bounds_hold_for_any_spectrum(
    rows: int, columns: int, exponent: float, rank: int, noise: float, seed: int
) -> None:
    index = torch.arange(min(rows, columns), dtype=torch.float64)
    values = torch.where(index < rank, (index + 1) ** -exponent, 0.0)
    generator = torch.Generator().manual_seed(seed)
    added = noise * torch.randn(rows, columns, generator=generator, dtype=torch.float64) / rows
    assert_within((spectra_of((rows, columns), values, seed) + added).float())


def test_a_direction_that_the_first_basis_misses_is_within_the_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """No residual shows it: the start is orthogonal to the leading vector."""
    from gradspec.capture import _leading

    gradient = spectra_of((40, 40), decays(40)["power law"], seed=0)
    right = torch.linalg.svd(gradient).Vh[0]
    honest = _leading._normal

    def blind(rows: int, width: int, dtype: torch.dtype, device: torch.device, seed: int) -> Tensor:
        start = honest(rows, width, dtype, device, seed)
        return start - torch.outer(right, right @ start) if seed == _leading._START else start

    monkeypatch.setattr(_leading, "_normal", blind)
    monkeypatch.setattr(_leading, "_MOST_BLOCKS", 3)  # before rounding brings it in
    found = leading_values(gradient, COUNT)

    exact = torch.linalg.svdvals(gradient)[:COUNT]
    assert float(found.values[0]) < 0.6  # the basis has missed it
    assert ((found.values - exact).abs() <= found.bounds).all()


def test_the_shortest_normal_vector_is_a_bound_of_the_chi_squared_distribution() -> None:
    from scipy.stats import chi2

    for width in (2, 8, 32):
        assert 0 < chi2.cdf(_shortest(width) ** 2, width) <= 1e-10


def test_gradients_of_training_are_known_to_a_thousandth() -> None:
    """Three steps of a perceptron on digits, whose classes differ."""
    from sklearn.datasets import load_digits

    torch.manual_seed(0)
    digits = load_digits()
    x, y = torch.tensor(digits.data, dtype=torch.float32) / 16, torch.tensor(digits.target)
    model = nn.Sequential(nn.Linear(64, 160), nn.Tanh(), nn.Linear(160, 160), nn.Tanh(), nn.Linear(160, 10))
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(3):
        batch = torch.randint(len(x), (512,))
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
        optimizer.step()
        gradient = model[2].weight.grad
        found = leading_values(gradient, 16)
        assert_within(gradient, 16)
        assert found.bounds.max() <= 1e-3 * found.values[0]


def test_without_a_basis_all_values_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradspec.capture._leading._ATTEMPTS", 0)
    assert_within(spectra_of((40, 60), decays(40)["slow"], seed=1).float())


def test_a_gradient_that_is_not_finite_is_unknown_and_none_is_zero() -> None:
    gradient = torch.zeros(40, 50)
    found = leading_values(gradient, COUNT)
    assert not found.values.any() and not found.bounds.any() and not found.norm
    gradient[3, 4] = math.inf
    found = leading_values(gradient, COUNT)
    assert found.values.isnan().all() and found.bounds.isnan().all() and found.norm.isnan()


def test_the_same_gradient_has_the_same_values_whatever_came_before() -> None:
    gradient = spectra_of((40, 60), decays(40)["slow"], seed=1)
    first = leading_values(gradient, COUNT)
    leading_values(torch.randn(40, 60, dtype=torch.float64), COUNT)
    torch.manual_seed(5)
    assert torch.equal(leading_values(gradient, COUNT).values, first.values)


def test_the_frobenius_norm_is_that_of_double_precision() -> None:
    gradient = torch.randn(200, 70, generator=torch.Generator().manual_seed(0))
    assert float(frobenius_norm(gradient)) == pytest.approx(float(gradient.double().norm()), rel=1e-14)


@pytest.mark.parametrize(
    ("spectrum", "shape", "expected"),
    [
        ("exact", (4096, 4096), False),
        ("leading", (119, 4096), False),
        ("leading", (120, 120), True),
        ("auto", (256, 4096), False),
        ("auto", (257, 4096), True),
    ],
)
def test_only_wide_gradients_have_leading_values_only(spectrum: str, shape: tuple[int, int], expected: bool) -> None:
    assert Leading(spectrum, 16).takes(shape) is expected


@pytest.mark.long
def test_bounds_hold_in_ten_thousand_gradients() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(10_000):
        rows, columns, rank = (int(torch.randint(40, 70, (), generator=generator)) for _ in range(3))
        exponent = 3 * float(torch.rand((), generator=generator))
        h = torch.randn(rank, columns, generator=generator) * torch.arange(1, rank + 1)[:, None] ** -exponent
        assert_within(torch.randn(rows, rank, generator=generator) @ h)
