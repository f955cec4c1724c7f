r"""Design of a study: what training under permuted groups will find, before anybody is scanned.

A feature of the spectra is taken for a mean over people: with :math:`n_1` and :math:`n_2` people in the groups, a
difference of d standard deviations between people, and a noise of training of ν such standard deviations in every
run, the mean over K folds and R repeats has

.. math:: v_0 = \frac1{n_1} + \frac1{n_2} + \frac{\nu^2}{K R} , \qquad
    v_p = \Bigl(1 + d^2 \frac{n_1 n_2}{N^2}\Bigr) \frac{N}{N - 1} \Bigl(\frac1{n_1} + \frac1{n_2}\Bigr)
    + \frac{\nu^2}{K R}

for the groups as they are and for permuted ones, in which the difference itself is spread among the people. Repeats
and folds make the noise smaller, and never the people more. Of P permutations, Student's t of
`gradspec.stats.permutation_tail` has P - 1 degrees of freedom and the noncentrality :math:`d / \sqrt{v_0 + v_p / P}`;
with fewer than 24, arrangements are counted. The correction is that of so many independent tests.

Where training sets are thinned to equal groups (``training.equal_groups``) every person is still drawn in some run, and
the larger group counts in part: the smaller one twice is the cautious number.
"""

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import stats
from scipy.optimize import brentq

from gradspec.errors import ConfigError
from gradspec.stats.permutation_tail import FEWEST
from gradspec.stats.power import POWER

LARGEST = 5.0
"""Difference, in standard deviations between people, beyond which none is looked for."""


class Assumptions(NamedTuple):
    """What is known beforehand of a feature, or measured in a finished run.

    Attributes
    ----------
    noise : float
        Standard deviation of the training noise of a single run, in standard deviations between people.
    tests : float
        Number of independent tests that are corrected for.
    alpha : float
        Level of the corrected p.
    """

    noise: float = 0.5
    tests: float = 1.0
    alpha: float = 0.05


DEFAULTS = Assumptions()


def find_power(
    difference: float,
    people: tuple[int, int],
    folds: int,
    repeats: int,
    permutations: int,
    assumed: Assumptions = DEFAULTS,
) -> float:
    """Share of studies that find a difference.

    Parameters
    ----------
    difference : float
        Of the means of the groups, in standard deviations between people.
    people : (int, int)
        Participants of each group.
    folds, repeats, permutations : int
        As in ``training.folds``, ``training.repeats`` and ``stats.permutation.retraining``.
    assumed : Assumptions
        Of the feature and the family of tests.

    Returns
    -------
    float
        Between the level and 1; 0 where permutations are too few to find anything.
    """
    first, second = people
    total, of_people = first + second, 1 / first + 1 / second
    of_training = assumed.noise**2 / (folds * repeats)
    as_they_are = of_people + of_training
    widened = (1 + difference**2 * first * second / total**2) * total / (total - 1)
    permuted = widened * of_people + of_training
    if permutations < FEWEST:
        return _power_by_count(difference, as_they_are, permuted, permutations, assumed)
    level = -math.expm1(math.log1p(-assumed.alpha) / assumed.tests)
    spread = as_they_are + permuted / permutations
    critical = stats.t.isf(level / 2, permutations - 1) * math.sqrt(permuted * (1 + 1 / permutations) / spread)
    noncentrality = difference / math.sqrt(spread)
    t = stats.nct(permutations - 1, noncentrality)
    # Far out SciPy knows no other tail, which is nothing there, nor the last digits of this one, which is all.
    wrong_sign = float(t.cdf(-critical)) if noncentrality < 4 else 0.0
    return float(np.nan_to_num(t.sf(critical), nan=1.0)) + wrong_sign


def _power_by_count(
    difference: float, as_they_are: float, permuted: float, permutations: int, assumed: Assumptions
) -> float:
    """Chance that no more permutations reach the groups as they are than the level allows."""
    may_reach = math.ceil(assumed.alpha * (permutations + 1) - 1) - 1
    if may_reach < 0:
        return 0.0
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    observed = difference + math.sqrt(as_they_are) * nodes
    reached = 2 * stats.norm.sf(np.abs(observed) / math.sqrt(permuted))
    any_reached = -np.expm1(assumed.tests * np.log1p(-np.minimum(reached, 1 - 1e-12)))
    return float((weights * stats.binom.cdf(may_reach, permutations, any_reached)).sum() / weights.sum())


def find_detectable(
    people: tuple[int, int],
    folds: int,
    repeats: int,
    permutations: int,
    assumed: Assumptions = DEFAULTS,
    power: float = POWER,
) -> float:
    """Smallest difference that is found in so many studies; parameters as of `find_power`.

    Returns
    -------
    float
        In standard deviations between people; NaN where not even `LARGEST` is found so often.
    """

    def lacking(difference: float) -> float:
        return find_power(difference, people, folds, repeats, permutations, assumed) - power

    return float(brentq(lacking, 0.0, LARGEST, xtol=1e-4)) if lacking(LARGEST) > 0 > lacking(0.0) else float("nan")


def measure_noise(results: Path) -> Assumptions:
    """Take what a finished run with permuted trainings and repeats shows, from all of its features.

    Parameters
    ----------
    results : path
        Folder of results.

    Returns
    -------
    Assumptions
        Noise of training, from the mean share that it has in the spread of the permutations; as number of independent
        tests one a network and layer; level.

    Raises
    ------
    ConfigError
        If nothing was trained under permuted groups, or in one repeat, which does not tell the noise.
    """
    from gradspec.files import read_json, read_table
    from gradspec.spectra.window import select_epochs

    table, config = results / "stats" / "permutations.tsv", results / "config.json"
    if not table.is_file() or not config.is_file():
        raise ConfigError(f"{table}: is not there; name the results of a run with stats.permutation.retraining")
    settings = read_json(config)
    tests = read_table(table)
    tests = tests[(tests["by"] == "retraining") & tests["p_value"].notna()]
    n_repeats, n_folds = settings["training"]["repeats"], settings["training"]["folds"]
    if tests.empty or n_repeats < 2:
        raise ConfigError(
            f"{results}: the noise of training follows from two repeats under permuted groups at least; state it by "
            "--noise instead"
        )
    people = read_table(results / "selection" / "participants.tsv")["group"].value_counts()
    levels = settings["cohort"]["group"]["levels"]
    of_people = sum(1 / people[group] for group in levels)
    shares = []
    for model, of_model in tests.groupby("model", sort=False):
        features = read_table(results / "features" / f"{model}.tsv")
        epochs = select_epochs(features["epoch"].unique().tolist(), (0.0, settings["stats"]["permutation"]["epochs"]))
        keys = ["layer", "kind", "repeat", "group"]
        means = features[features["epoch"].isin(epochs)].groupby(keys)[list(of_model["feature"].unique())].mean()
        apart = means.xs(levels[1], level="group") - means.xs(levels[0], level="group")
        between = apart.groupby(["layer", "kind"]).var()
        for row in of_model.itertuples():
            of_repeat = between.loc[(row.layer, row.kind), row.feature]
            shares.append(of_repeat / n_repeats / row.standard_error**2)
    asked = tests[["model", "layer", "kind"]].drop_duplicates()
    share = float(np.mean(shares))
    noise = math.sqrt(n_folds * n_repeats * of_people * share / (1 - share)) if share < 1 else math.inf
    return Assumptions(noise, float(len(asked)), float(settings["stats"]["alpha"]))


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a table of designs: the power for each difference, and the smallest difference with 80 % power.

    Parameters
    ----------
    arguments : sequence of str, optional
        Words of the command line.
    """
    options = _parser().parse_args(arguments)
    given = {"noise": options.noise, "tests": options.tests, "alpha": options.alpha}
    assumed = measure_noise(options.results) if options.results else DEFAULTS
    assumed = assumed._replace(**{name: value for name, value in given.items() if value is not None})
    print(
        f"Differences in standard deviations between people; training noise of a run {assumed.noise:.3g}, "
        f"{assumed.tests:g} independent tests, corrected p < {assumed.alpha:g}"
    )
    names = ["people", "folds", "repeats", "permutations", "trainings"]
    names += [f"power_{size:g}" for size in options.effect] + [f"detectable_{100 * POWER:g}"]
    print("\t".join(names))
    if small := [(n, folds) for n, folds in product(options.people, options.folds) if n // 2 < max(folds, 2)]:
        n, folds = small[0]
        raise ConfigError(
            f"{n} people in two groups are fewer than {max(folds, 2)} in a group, which {folds} folds need; write more "
            "--people or fewer --folds"
        )
    for n, folds, repeats, permutations in product(
        options.people, options.folds, options.repeats, options.permutations
    ):
        design = ((n - n // 2, n // 2), folds, repeats, permutations, assumed)
        powers = [f"{find_power(size, *design):.2f}" for size in options.effect]
        trainings = folds * repeats * (1 + permutations)
        row = [n, folds, repeats, permutations, trainings, *powers, f"{find_detectable(*design):.2f}"]
        print("\t".join(map(str, row)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gradspec design", description="What a study will find, by its people, folds, repeats and permutations."
    )
    counts = {
        "people": ([40, 80, 160, 320], "participants of both groups together, half of them in each"),
        "folds": ([5], "folds of the cross-validation"),
        "repeats": ([1, 2], "repeats of the cross-validation"),
        "permutations": ([49, 99], "permutations of the groups, under each of which all is trained again"),
    }
    for name, (default, text) in counts.items():
        parser.add_argument(f"--{name}", type=_count, nargs="+", default=default, metavar="N", help=text)
    parser.add_argument(
        "--effect",
        type=_within(0, 100, "a difference from 0 up"),
        nargs="+",
        default=[0.5, 0.8],
        metavar="D",
        help="differences, in sd between people",
    )
    parser.add_argument("--results", type=Path, help="a finished run, of which noise, tests and level are taken")
    parser.add_argument(
        "--noise",
        type=_within(0, 1000, "a spread from 0 up"),
        help="training noise of a run, in sd between people (default 0.5)",
    )
    parser.add_argument(
        "--tests",
        type=_within(1, 1e9, "a number of 1 or more"),
        help="independent tests that are corrected for (default 1)",
    )
    parser.add_argument(
        "--alpha",
        type=_within(1e-6, 0.5, "a level from 0.000001 to 0.5"),
        help="level of the corrected p (default 0.05)",
    )
    return parser


def _count(text: str) -> int:
    return int(_within(1, float("inf"), "a whole number of 1 or more", whole=True)(text))


def _within(low: float, high: float, what: str, *, whole: bool = False) -> Callable[[str], float]:
    """Read a number of the command line that lies in a range, its ends included."""

    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = float("nan")
        if not (low <= number <= high and abs(number) < float("inf")) or (whole and not number.is_integer()):
            raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
        return number

    return read


if __name__ == "__main__":
    try:
        main()
    except ConfigError as error:
        sys.exit(f"Error: {error}")
