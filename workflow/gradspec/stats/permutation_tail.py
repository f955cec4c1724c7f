r"""P-values from few permutations: counted where enough of them reach the statistic, else from the tail they follow.

Counting, :math:`(1 + \#\{T_p \ge T_0\}) / (1 + n)`, is exact, but of n permutations none is below 1 / (1 + n), and a
few exceedances say little. Where fewer than ten permutations reach a statistic that is near normal (a mean over runs
and people, or a power of a sum of squares), Student's t takes its place, with the degrees of freedom that the
permutations give: of n with mean :math:`\bar T` and standard deviation s,

.. math:: t = (T_0 - \bar T) / (s \sqrt{1 + 1/n}), \qquad n - 1 \text{ degrees of freedom},

is what a further permutation would follow. Where the permutations show that they are not normal (D'Agostino and Pearson
1973, p < 0.05), they are counted. The better known gamma tail (Winkler et al. 2016) takes its fitted moments for the
true ones: of 24 permutations it rejects 6.5 % at a nominal 5 %, and 2.2 % at 1 %.

The smallest p of m tests that depend on each other is near that of :math:`m_e` independent ones, :math:`1 - (1 -
p)^{m_e}`, a beta distribution of one parameter (Dudbridge and Koeleman 2004), which follows from the smallest p of each
permutation: :math:`1 / m_e = -\overline{\log(1 - p)}`.

What a tail says beyond a tenth of the least that can be counted is not believed: no p-value is below 1 / (10 (1 + n)).
How often these reject where nothing differs is measured by `gradspec.stats.calibration`.
"""

import math

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

COUNTED, STUDENT, BETA = "counting", "Student's t", "beta of the smallest p"
METHODS = {
    COUNTED: "(1 + permutations that are at least as extreme) / (1 + permutations)",
    STUDENT: "t of a further permutation after the others, with their number less one degrees of freedom",
    BETA: (
        "From the smallest p of each permutation, as of independent tests of a number that these say (Dudbridge & "
        "Koeleman 2004)"
    ),
}

FEWEST = 24
"""Permutations below which no tail is taken."""

_ENOUGH = 10  # permutations that reach a statistic, from which on counting is as good as any tail
_NOT_NORMAL = 0.05
_EQUAL = 1e-12  # equal arrangements give equal statistics but for rounding, which must not decide

Standardised = Float[np.ndarray, "arrangement test"]


def tail_p(z: Standardised, *, two_sided: bool = True) -> tuple[Float[np.ndarray, "test"], list[str]]:
    """P-value of the labels as they are among permutations of them.

    Parameters
    ----------
    z : array, shape (arrangement, test)
        Statistics, those of the labels as they are first, less the mean of all arrangements and over their standard
        deviation; NaN where there is no test.
    two_sided : bool
        Whether small statistics count as well as large ones.

    Returns
    -------
    array, shape (test,)
        P-values.
    list of str
        How each was found: `COUNTED` or `STUDENT`, empty where there is no test.
    """
    size = np.abs(z) if two_sided else z
    reached = (size[1:] >= size[0] - _EQUAL * np.abs(size[0])).sum(axis=0)
    counts = (1 + reached) / len(z)
    counted = (reached >= _ENOUGH) | ~_are_normal(z, _NOT_NORMAL)
    p_values = np.where(counted, counts, np.maximum(_student(z, two_sided)[0], _least(z)))
    tested = np.isfinite(z[0])
    methods = [
        (COUNTED if by_count else STUDENT) * bool(is_test) for by_count, is_test in zip(counted, tested, strict=True)
    ]
    return np.where(tested, p_values, np.nan), methods


def corrected_p(z: Standardised, *, two_sided: bool = True) -> tuple[Float[np.ndarray, "test"], str]:
    r"""P-values corrected for all tests of a family.

    Parameters
    ----------
    z : array, shape (arrangement, test)
        As `tail_p` takes them, without NaN.
    two_sided : bool
        Whether small statistics count as well as large ones.

    Returns
    -------
    array, shape (test,)
        The chance of any false discovery in the family is at most the level.
    str
        `BETA`, or `COUNTED` (against the largest of each permutation, Westfall & Young 1993) where permutations are too
        few, or any test shows itself not to be normal.
    """
    size = np.abs(z) if two_sided else z
    if not _are_normal(z, _NOT_NORMAL / z.shape[1]).all():
        largest = size[1:].max(axis=1)
        return (1 + (largest[:, None] >= size[0] - _EQUAL * np.abs(size[0])).sum(axis=0)) / len(z), COUNTED
    p_values = _student(z, two_sided)
    n_effective = max(1.0, -1 / float(np.log1p(-p_values[1:].min(axis=1)).mean()))
    return np.maximum(-np.expm1(n_effective * np.log1p(-p_values[0])), _least(z)), BETA


def critical_t(z: Standardised, alpha: float, *, by_count: bool = False) -> float:
    """Size of t beyond which a two-sided test of a family is found: `corrected_p` below `alpha`, turned round.

    Parameters
    ----------
    z : array, shape (arrangement, test)
        As `corrected_p` takes them.
    alpha : float
        Level of the corrected p.
    by_count : bool
        Whether the family is counted whatever its distribution.

    Returns
    -------
    float
        In units of the standard error of `_student`; infinite where so few permutations can find nothing.
    """
    n = len(z) - 1
    if by_count or not _are_normal(z, _NOT_NORMAL / z.shape[1]).all():
        largest = np.sort(np.abs(z[1:]).max(axis=1))[::-1]
        may_reach = math.ceil(alpha * len(z) - 1) - 1
        return float("inf") if may_reach < 0 else float(t_of_z(largest[may_reach], n))
    n_effective = max(1.0, -1 / float(np.log1p(-_student(z, True)[1:].min(axis=1)).mean()))
    return float(stats.t.isf(-np.expm1(np.log1p(-alpha) / n_effective) / 2, n - 1))


def t_of_z(z: Float[np.ndarray, "*shape"], n: int) -> Float[np.ndarray, "*shape"]:
    """T of an arrangement after the n others, of its z among all: z² is n t² / (n - 1 + t²)."""
    share = np.minimum(np.square(z) / n, 1 - 1e-12)
    t: Float[np.ndarray, "*shape"] = np.sign(z) * np.sqrt(share * (n - 1) / (1 - share))
    return t


def _student(z: Standardised, two_sided: bool) -> Standardised:
    """P-value of every arrangement after all others."""
    n = len(z) - 1
    t = t_of_z(z, n)
    p_values: Standardised = 2 * stats.t.sf(np.abs(t), n - 1) if two_sided else stats.t.sf(t, n - 1)
    return p_values


def _are_normal(z: Standardised, level: float) -> Bool[np.ndarray, "test"]:
    """Whether permutations are enough, and may be normal."""
    if len(z) - 1 < FEWEST:
        return np.zeros(z.shape[1], dtype=bool)
    with np.errstate(invalid="ignore"):
        normal: Bool[np.ndarray, test] = stats.normaltest(z[1:], axis=0).pvalue >= level
    return normal


def _least(z: Standardised) -> float:
    return 1 / (10 * len(z))
