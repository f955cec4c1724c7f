"""How often the tests reject: on networks that learn random labels, and on planted differences.

Where the groups differ by chance alone, a test at 5 % may reject in 5 % of cohorts, whatever the sizes of the groups;
where a difference is planted, the more the better. Naive practice stands beside: a t-test over training steps, and over
runs and people as if they were independent. Equivalence is held against groups that differ by exactly the margin: the
values of one, whose groups are alike, are scaled by it.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from gradspec.progress import track
from gradspec.stats.cluster import cluster_p, find_clusters, jackknife_draws, largest_mass, sign_flips
from gradspec.stats.corrected_t import corrected_resampled_t_test, mean_overlap
from gradspec.stats.covariates import GROUP, regress_scores
from gradspec.stats.equal_loss import differences_at_equal_loss
from gradspec.stats.equivalence import equivalence_p
from gradspec.stats.metrics import roc_auc
from gradspec.stats.mixed_model import fit_mixed_model
from gradspec.stats.noise_corrected_jackknife import noise_corrected_jackknife_t_test, within_df
from gradspec.stats.paired_test import PairedTest
from gradspec.stats.performance import bootstrap_counts
from gradspec.stats.retrained_cohorts import FOLDS as RETRAINED_FOLDS
from gradspec.stats.retrained_cohorts import REPEATS as RETRAINED_REPEATS
from gradspec.stats.retrained_cohorts import retrain_cohort
from gradspec.stats.shared_networks import VARIANCE_FACTOR, p_against_chance
from gradspec.stats.toy_networks import NAMES, Design, TrainedCohort, permute_cohort, train_cohort

LEVEL = 0.05
EQUAL, UNEQUAL = (30, 30), (45, 15)
DIFFERENCES = [0.25, 0.5, 0.75, 1.0]
THINNED = ", thinned"
MARGIN = 0.1
N_DRAWS = 199
N_REGROUPED = 48


class Size(NamedTuple):
    """How much is done: cohorts of each condition, cross-validations (repeats, folds), planted differences."""

    cohorts: int
    splits: list[tuple[int, int]]
    differences: list[float]


SIZES = {
    "quick": Size(6, [(2, 5)], [1.0]),
    "minute": Size(20, [(4, 5)], DIFFERENCES),
    "standard": Size(200, [(4, 5)], DIFFERENCES),
    "long": Size(1000, [(4, 5), (2, 5), (10, 5), (3, 10)], DIFFERENCES),
}

Test = Callable[[TrainedCohort], np.ndarray]


def over_steps(cohort: TrainedCohort) -> np.ndarray:
    """Naive: a paired t-test over all steps of all runs."""
    differences = cohort.steps[..., 1, :] - cohort.steps[..., 0, :]
    p_values: np.ndarray = stats.ttest_1samp(differences.reshape(-1, differences.shape[-1]), 0.0).pvalue
    return p_values


def over_runs(cohort: TrainedCohort) -> np.ndarray:
    """Naive: a paired t-test over runs."""
    return corrected_resampled_t_test(_runs(cohort.differences), 0.0).p_value


def corrected_for_test_errors(cohort: TrainedCohort) -> np.ndarray:
    """Naive: the corrected resampled t-test with the correlation that test errors have (Nadeau and Bengio 2003)."""
    return corrected_resampled_t_test(_runs(cohort.differences), 1 / cohort.differences.shape[1]).p_value


def corrected_t(cohort: TrainedCohort) -> np.ndarray:
    """The corrected resampled t-test with the correlation that training sets have."""
    repeats, folds = cohort.differences.shape[:2]
    df = within_df(repeats, folds, len(cohort.is_patient))
    return corrected_resampled_t_test(_runs(cohort.differences), mean_overlap(cohort.is_training), df=df).p_value


def plain_jackknife(cohort: TrainedCohort) -> np.ndarray:
    """The delete-fold jackknife over all repeats, without the noise taken off."""
    repeats, folds = cohort.differences.shape[:2]
    within = cohort.differences.var(axis=1, ddof=1).mean(axis=0)
    statistic = cohort.differences.mean(axis=(0, 1)) / np.sqrt((folds - 1) ** 2 / folds * within)
    p_values: np.ndarray = 2 * stats.t.sf(np.abs(statistic), repeats * (folds - 1))
    return p_values


def jackknife(cohort: TrainedCohort) -> np.ndarray:
    """The noise-corrected jackknife, the default of the workflow."""
    return noise_corrected_jackknife_t_test(cohort.differences, len(cohort.is_patient)).p_value


def at_equal_loss(cohort: TrainedCohort) -> np.ndarray:
    """The noise-corrected jackknife of differences that are adjusted for the loss of each group."""
    trajectories, losses = _runs(cohort.trajectories), _runs(cohort.loss_trajectories)
    differences = differences_at_equal_loss(trajectories[:, :, 0], trajectories[:, :, 1], losses)
    differences = differences.reshape(cohort.differences.shape)
    return noise_corrected_jackknife_t_test(differences, len(cohort.is_patient)).p_value


def mixed_model(cohort: TrainedCohort) -> np.ndarray:
    """Effect of the group in the mixed model of each feature, with the design effect of the jackknife."""
    reference, comparison = (_runs(cohort.trajectories[..., group, :]) for group in (0, 1))

    def jackknife_of_runs(values: np.ndarray) -> PairedTest:
        by_repeat = values.reshape(*cohort.differences.shape[:2], *values.shape[1:])
        return noise_corrected_jackknife_t_test(by_repeat, len(cohort.is_patient))

    return np.array(
        [
            fit_mixed_model(reference[..., feature], comparison[..., feature], jackknife_of_runs).p_value[0]
            for feature in range(len(NAMES))
        ]
    )


def clusters(by_jackknife: bool) -> Test:
    """Surest cluster of epochs of each feature, by draws of the jackknife or by flipping the signs of runs."""

    def test(cohort: TrainedCohort) -> np.ndarray:
        rng = np.random.default_rng(cohort.seed)
        differences = cohort.trajectories[..., 1, :] - cohort.trajectories[..., 0, :]
        runs = _runs(differences)
        if by_jackknife:
            n_participants = len(cohort.is_patient)
            result = noise_corrected_jackknife_t_test(differences, n_participants)
            statistic, df = result.statistic, result.df
            draws = jackknife_draws(differences, n_participants, N_DRAWS, rng)
        else:
            statistic, df = stats.ttest_1samp(runs, 0.0).statistic, len(runs) - 1
            draws = sign_flips(runs, N_DRAWS, rng)
        threshold = float(stats.t.ppf(1 - LEVEL / 2, df))
        largest = largest_mass(draws, threshold)
        return np.array(
            [
                cluster_p(find_clusters(statistic[:, feature], threshold), largest[:, feature]).min(initial=1.0)
                for feature in range(len(NAMES))
            ]
        )

    return test


def scores(cohort: TrainedCohort, naive: bool = False) -> np.ndarray:
    """Regression of people's scores on their group; naive: with the scores taken for independent."""
    groups = np.where(cohort.is_patient, "patient", "control")
    ids = [f"sub-{number:03}" for number in range(len(groups))]
    predictions = pd.concat(
        pd.DataFrame({"model": "toy", "participant_id": ids, "group": groups, "probability": probability})
        for probability in cohort.probability
    )
    people = pd.DataFrame({"participant_id": ids})
    options: dict[str, Any] = {"levels": ["control", "patient"], "covariates": [], "correction": "holm", "alpha": LEVEL}
    table = regress_scores(predictions, people, **options)
    group = table[table["term"] == GROUP]
    statistic = group["statistic"].to_numpy(dtype=float) * np.sqrt(VARIANCE_FACTOR if naive else 1.0)
    p_values: np.ndarray = 2 * stats.t.sf(np.abs(statistic), group["df"].to_numpy(dtype=float))
    return p_values


def area_under_curve(cohort: TrainedCohort, naive: bool = False) -> np.ndarray:
    """Area under the ROC curve against chance; naive: whether its interval over people holds chance."""
    positive = cohort.is_patient
    if not naive:
        return np.array([p_against_chance(stats.rankdata(cohort.probability, axis=1).mean(axis=0), positive)])
    weights = bootstrap_counts(positive, N_DRAWS, np.random.default_rng(cohort.seed))
    below = np.mean(np.mean([roc_auc(positive, one, weights) for one in cohort.probability], axis=0) <= 0.5)
    return np.array([2 * min(below, 1 - below)])


def equivalence(margin: float, naive: bool = False) -> Test:
    """Two one-sided tests that groups are alike within 10 %, after one was enlarged by `margin` of their mean."""

    def test(cohort: TrainedCohort) -> np.ndarray:
        repeats, folds, _, _, n_features = cohort.steps.shape
        means = _runs(cohort.steps.mean(axis=2))

        def paired(differences: np.ndarray) -> PairedTest:
            if naive:
                return corrected_resampled_t_test(differences, 0.0)
            by_repeat = differences.reshape(repeats, folds, n_features)
            return noise_corrected_jackknife_t_test(by_repeat, len(cohort.is_patient))

        return equivalence_p(paired, means[:, 0], means[:, 1] * (2 + margin) / (2 - margin), MARGIN)

    return test


TESTS: dict[str, Test] = {
    "naive: t over steps": over_steps,
    "naive: paired t over runs": over_runs,
    "naive: corrected resampled t of test errors": corrected_for_test_errors,
    "corrected resampled t": corrected_t,
    "mixed model": mixed_model,
    "delete-fold jackknife t": plain_jackknife,
    "noise-corrected jackknife t": jackknife,
    "the same, at equal loss": at_equal_loss,
    "naive: clusters, runs flipped": clusters(by_jackknife=False),
    "clusters, jackknife draws": clusters(by_jackknife=True),
    "naive: regression of scores as they are": partial(scores, naive=True),
    "regression of scores": scores,
    "naive: interval of the area under the curve": partial(area_under_curve, naive=True),
    "area under the curve against chance": area_under_curve,
}
EQUIVALENCE: dict[str, Test] = {
    "equivalence, groups at the margin": equivalence(MARGIN),
    "naive: equivalence over runs, groups at the margin": equivalence(MARGIN, naive=True),
}
ALIKE = "equivalence, groups alike"
RETRAINING = "retraining under permuted groups"
REGROUPINGS = {"regrouping, group is not the target": False, "naive: regrouping, group is the target": True}

COLUMNS = {
    "folds": "Folds × repeats of the cross-validation; 'one training' for regrouping, which needs no folds",
    "groups": (
        "Controls : patients. Batches hold equally many of both, so that the fewer are seen more often; if thinned, "
        "each training takes as many of the larger group as there are of the smaller"
    ),
    "size": "Planted difference: share of the patients' variance in three directions of their own; 0 for none",
    "test": f"Test; naive ones are no part of the workflow. Margin of equivalence: {MARGIN:g} of the mean of both",
    "feature": (
        "Feature that was tested; 'any (correction)': any of the four, after correction for their number; 'omnibus': "
        "the network as a whole"
    ),
    "cohorts": "Cohorts that were simulated",
    "rejected": {"Description": f"Share of cohorts with p of at most {LEVEL:g}", "Units": "%"},
    "low": {"Description": "Lower end of its 95 % interval (Clopper-Pearson)", "Units": "%"},
    "high": {"Description": "Upper end of that interval", "Units": "%"},
    "verdict": {
        "Description": f"Where nothing is planted: against the binomial 95 % interval of {100 * LEVEL:g} %",
        "Levels": {
            "as promised": "Within it",
            "cautious": "Below it",
            "too eager": "Above it",
            "power": "A difference was planted, or, in tests of equivalence, none: the more the better",
        },
    },
}


def measure(size: Size) -> pd.DataFrame:
    """Share of cohorts in which each test rejects: a row a condition, test and feature, columns as in `COLUMNS`."""
    rows = [*_by_cross_validation(size), *_by_regrouping(size), *_by_retraining(size)]
    return pd.DataFrame(rows)[list(COLUMNS)]


def _by_cross_validation(size: Size) -> Iterator[dict[str, Any]]:
    """The tests of repeated cross-validations, in equal and unequal groups."""
    conditions = [(EQUAL, False, 0.0), (UNEQUAL, False, 0.0), (UNEQUAL, True, 0.0)]
    conditions += [(EQUAL, False, difference) for difference in size.differences]
    for repeats, folds in size.splits:
        for groups, thinned, difference in conditions:
            design = Design(*groups, repeats, folds, thinned)
            tests = dict(TESTS)
            if difference == 0 and (thinned or groups == EQUAL):  # else the gradients are really not alike
                tests |= EQUIVALENCE | {ALIKE: equivalence(0.0)}
            found: dict[str, list[np.ndarray]] = {name: [] for name in tests}
            for seed in track(range(size.cohorts), "cohorts"):
                cohort = train_cohort(seed, difference, design)
                for name, test in tests.items():
                    found[name].append(test(cohort))
            of_groups = f"{groups[0]}:{groups[1]}" + THINNED * thinned
            about = {"folds": f"{folds} × {repeats}", "groups": of_groups, "size": difference}
            for name, of_cohorts in found.items():
                is_power = difference or name == ALIKE
                for row in count_rejections(np.array(of_cohorts), is_power):
                    yield {**about, "test": name, **row}


def _by_regrouping(size: Size) -> Iterator[dict[str, Any]]:
    """Permutations by regrouping one training."""
    half = N_REGROUPED // 2
    for name, learns_group in REGROUPINGS.items():
        for difference in [0.0, *size.differences]:
            p_values = np.array(
                [
                    permute_cohort(seed, difference, N_REGROUPED, learns_group=learns_group)
                    for seed in range(size.cohorts)
                ]
            )
            about = {"folds": "one training", "groups": f"{half}:{half}", "size": difference, "test": name}
            for row in count_rejections(p_values, difference):
                yield {**about, **row}


def _by_retraining(size: Size) -> Iterator[dict[str, Any]]:
    """Permutations by retraining, in equal and unequal groups, and with planted differences."""
    for groups, difference in [(EQUAL, 0.0), (UNEQUAL, 0.0), *((EQUAL, planted) for planted in size.differences)]:
        cohorts = [retrain_cohort(seed, difference, groups) for seed in track(range(size.cohorts), "retrained cohorts")]
        of_groups = f"{groups[0]}:{groups[1]}"
        about = {"folds": f"{RETRAINED_FOLDS} × {RETRAINED_REPEATS}", "groups": of_groups, "size": difference}
        p_values = np.array([[*each.features, each.any_feature, each.omnibus] for each in cohorts])
        for feature, rejected in zip([*NAMES, "any (smallest p)", "omnibus"], (p_values <= LEVEL).T, strict=True):
            judged = judge(int(rejected.sum()), len(rejected), difference)
            yield {**about, "test": RETRAINING, "feature": feature, **judged}


def _runs(values: np.ndarray) -> np.ndarray:
    """An array (repeat, fold, …) as (run, …)."""
    return values.reshape(-1, *values.shape[2:])


def count_rejections(p_values: np.ndarray, is_power: float | bool) -> list[dict[str, Any]]:
    """Share of cohorts, the rows of `p_values`, with a rejection in each feature, and in any after correction."""
    names = NAMES if p_values.shape[1] == len(NAMES) else ["score"]
    rejected = {name: p_values[:, feature] <= LEVEL for feature, name in enumerate(names)}
    if len(names) > 1:
        rejected["any (holm)"] = len(names) * p_values.min(axis=1) <= LEVEL
        rejected["any (benjamini-hochberg)"] = (stats.false_discovery_control(p_values, axis=1) <= LEVEL).any(axis=1)
    return [{"feature": name, **judge(int(found.sum()), len(found), is_power)} for name, found in rejected.items()]


def judge(count: int, cohorts: int, is_power: float | bool) -> dict[str, Any]:
    """Percent rejected, its interval, and whether that is as promised."""
    interval = stats.binomtest(count, cohorts).proportion_ci()
    least, most = stats.binom(cohorts, LEVEL).ppf([0.025, 0.975])
    verdict = "cautious" if count < least else "too eager" if count > most else "as promised"
    return {
        "cohorts": cohorts,
        "rejected": 100 * count / cohorts,
        "low": 100 * interval.low,
        "high": 100 * interval.high,
        "verdict": "power" if is_power else verdict,
    }
