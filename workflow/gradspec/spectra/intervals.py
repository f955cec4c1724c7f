r"""Features of a spectrum of which the leading singular values and the Frobenius norm are known: intervals.

Known are :math:`|\sigma_i - s_i| \le b_i` for :math:`i \le k`, and :math:`\|G\|_F`. The other :math:`q = r - k` values
have the energy :math:`t^2 = \|G\|_F^2 - \sum_{i \le k} \sigma_i^2`, none above :math:`u = s_k + b_k`, so that their sum
W is from :math:`t^2 / u` to :math:`\sqrt q \, t`, and their own entropy from :math:`\ln(W / u)` to :math:`\ln q`.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from gradspec.spectra.features import N_LEADING

Leading = Float[np.ndarray, "*batch index"]
Value = Float[np.ndarray, "*batch"]

EXACT = ("spectral_norm", "frobenius_norm", "stable_rank", "leading_energy")
"""Features that are known as well as the leading values are."""
BOUNDED = ("nuclear_norm", "effective_rank", "entropy", "participation_ratio")
"""Features that the tail changes, within an interval."""
UNDEFINED = (
    "condition_number",
    "log_condition_number",
    "numerical_rank",
    "power_law_exponent",
    "power_law_distance",
)
"""Features of the smallest values, or of the shape of the tail, of which nothing is known."""

# Of sums of squares, which are rounded in proportion to themselves.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Interval:
    """Between what a feature is; NaN where the spectrum is not known."""

    lower: Value
    upper: Value


def feature_intervals(values: Leading, bounds: Leading, norm: Value, rank: int) -> dict[str, Interval]:
    """Between what the features of spectra are, of which leading values are known.

    Nothing is dropped as rounding, other than in the table of features: the values that would be are in the tail.

    Parameters
    ----------
    values, bounds : array
        Leading singular values, descending, and how far each may be off; NaN beyond the rank of a group, whose
        spectrum is then known as a whole.
    norm : array
        Frobenius norm of each spectrum.
    rank : int
        Most singular values that a spectrum has: the smaller side of the weight.

    Returns
    -------
    dict
        An interval for each feature of `EXACT` and `BOUNDED`, by name.

    Raises
    ------
    ValueError
        When there are more values than the rank allows, or less than two.
    """
    count = values.shape[-1]
    if not N_LEADING <= count <= rank:
        raise ValueError(f"{count} leading values, but at least {N_LEADING} are needed, and at most the rank, {rank}")
    known = np.isfinite(values[..., 0])
    with np.errstate(divide="ignore", invalid="ignore"):
        intervals = _intervals(np.nan_to_num(values), np.nan_to_num(bounds), norm, _ranks(values, rank))
    return {
        name: Interval(np.where(known, each.lower, np.nan), np.where(known, each.upper, np.nan))
        for name, each in intervals.items()
    }


def _ranks(values: Leading, rank: int) -> Value:
    """Singular values that each spectrum has."""
    n_known = np.isfinite(values).sum(-1)
    return np.where(n_known < values.shape[-1], n_known, rank).astype(float)


def _intervals(values: Leading, bounds: Leading, norm: Value, ranks: Value) -> dict[str, Interval]:
    low, high = np.maximum(values - bounds, 0.0), values + bounds
    energy = norm**2
    largest = Interval(low[..., 0], np.minimum(high[..., 0], norm * (1 + _ROUNDING)))
    head = Interval(low.sum(-1), high.sum(-1))
    tail = _Tail.of(low, high, energy, ranks)
    entropy = _entropy(values, bounds, head, tail)
    leading = Interval(
        np.square(low[..., :N_LEADING]).sum(-1) / energy,
        np.minimum(np.square(high[..., :N_LEADING]).sum(-1) / energy, 1.0),
    )
    fourth = Interval(
        (low**4).sum(-1) + np.where(tail.number > 0, tail.energy.lower**2 / np.maximum(tail.number, 1), 0.0),
        (high**4).sum(-1) + tail.energy.upper * tail.largest**2,
    )
    return {
        "spectral_norm": largest,
        "frobenius_norm": Interval(norm * (1 - _ROUNDING), norm * (1 + _ROUNDING)),
        "stable_rank": Interval(
            np.maximum(energy / largest.upper**2, 1.0) * (1 - _ROUNDING), energy / largest.lower**2 * (1 + _ROUNDING)
        ),
        "leading_energy": Interval(leading.lower * (1 - _ROUNDING), np.minimum(leading.upper * (1 + _ROUNDING), 1.0)),
        "nuclear_norm": Interval(head.lower + tail.sum.lower, head.upper + tail.sum.upper),
        "effective_rank": Interval(np.exp(entropy.lower), np.minimum(np.exp(entropy.upper), ranks)),
        "entropy": Interval(
            np.where(ranks > 1, entropy.lower / np.log(ranks), np.nan),
            np.where(ranks > 1, np.minimum(entropy.upper / np.log(ranks), 1.0), np.nan),
        ),
        "participation_ratio": Interval(
            np.maximum(energy**2 / fourth.upper, 1.0) * (1 - _ROUNDING),
            np.minimum(energy**2 / fourth.lower * (1 + _ROUNDING), ranks),
        ),
    }


@dataclass(frozen=True)
class _Tail:
    """What is known of the values that are not leading: how many, the most one can be, their energy, and their sum."""

    number: Value
    largest: Value
    energy: Interval
    sum: Interval

    @classmethod
    def of(cls, low: Leading, high: Leading, energy: Value, ranks: Value) -> "_Tail":
        number = np.maximum(ranks - low.shape[-1], 0.0)
        largest = np.where(number > 0, high[..., -1], 0.0)
        slack = _ROUNDING * energy
        left = Interval(
            np.maximum(energy - np.square(high).sum(-1) - slack, 0.0),
            np.maximum(energy - np.square(low).sum(-1) + slack, 0.0),
        )
        left = Interval(np.where(number > 0, left.lower, 0.0), np.where(number > 0, left.upper, 0.0))
        left = Interval(left.lower, np.minimum(left.upper, number * largest**2))
        sums = Interval(np.where(largest > 0, left.lower / largest, 0.0), np.sqrt(number * left.upper))
        return cls(number, largest, left, sums)


def _entropy(values: Leading, bounds: Leading, head: Interval, tail: _Tail) -> Interval:
    r"""Shannon entropy, in nats.

    With the share :math:`\lambda` of the tail in the sum it is :math:`h(\lambda) + (1 - \lambda) H_{head} + \lambda
    H_{tail}`, h being that of two, which is concave: least at an end of what :math:`\lambda` can be, largest at
    :math:`1 / (1 + e^{H_{head} - H_{tail}})` or at the end next to it.
    """
    share = Interval(
        _ratio(tail.sum.lower, tail.sum.lower + head.upper), _ratio(tail.sum.upper, tail.sum.upper + head.lower)
    )
    of_head = _head_entropy(values, bounds)
    widest = np.log(np.maximum(tail.number, 1.0))
    narrowest = np.maximum(np.log(np.where(tail.sum.lower > tail.largest, tail.sum.lower / tail.largest, 1.0)), 0.0)
    best = np.clip(1 / (1 + np.exp(of_head.upper - widest)), share.lower, share.upper)
    ends = [_binary(end) + (1 - end) * of_head.lower + end * narrowest for end in (share.lower, share.upper)]
    upper = _binary(best) + (1 - best) * of_head.upper + best * widest
    return Interval(np.maximum(np.minimum(*ends) - _ROUNDING, 0.0), upper + _ROUNDING)


def _head_entropy(values: Leading, bounds: Leading) -> Interval:
    """Entropy of the leading values, whose errors change it by no more than their variation distance allows.

    Audenaert 2007, "A sharp continuity estimate for the von Neumann entropy", J. Phys. A 40:8127, theorem 1.
    """
    total = values.sum(-1)
    share = values / np.where(total > 0, total, np.nan)[..., None]
    entropy = -(share * np.log(share, out=np.zeros_like(share), where=share > 0)).sum(-1)
    error = bounds.sum(-1)
    distance = np.where(total > error, error / np.where(total > error, total - error, 1.0), 1.0)
    count = values.shape[-1]
    most = np.log(count)
    change = np.where(distance < 1 - 1 / count, distance * np.log(count - 1) + _binary(np.clip(distance, 0, 1)), most)
    return Interval(np.maximum(entropy - change, 0.0), np.minimum(entropy + change, most))


def _binary(share: Value) -> Value:
    """Entropy of two shares."""
    total = np.zeros_like(share, dtype=float)
    for part in (share, 1 - share):
        total -= part * np.log(part, out=np.zeros_like(total), where=part > 0)
    return total


def _ratio(part: Value, whole: Value) -> Value:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1.0), 0.0)
