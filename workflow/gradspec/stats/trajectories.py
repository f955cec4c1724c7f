"""Tables of trajectories: when in training the groups differ, and whether their difference changes. All exploratory."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from scipy import stats

from gradspec.stats.cluster import cluster_p, find_clusters, jackknife_draws, largest_mass
from gradspec.stats.group_differences import choose_test
from gradspec.stats.mixed_model import (
    COMPLETE,
    DISAGREE,
    EFFECTS,
    FACTOR,
    MIXED,
    NO_NOISE,
    SAME,
    TWO_STAGE,
    WEIGHTED,
    fit_mixed_model,
)
from gradspec.stats.multiplicity import correct
from gradspec.stats.noise_corrected_jackknife import noise_corrected_jackknife_t_test
from gradspec.stats.paired_test import SINGLE_PRECISION
from gradspec.stats.runs import Trajectories, fold_shape

if TYPE_CHECKING:
    import pandas as pd

FEWEST_RUNS = 3

_TEST_COLUMNS = {
    "model": "Network",
    "layer": "Parameter, as in model.named_parameters(); parts of packed weights after a slash (q, k, v)",
    "kind": "Matrix whose singular values are taken: gradient, activation or delta",
    "feature": "Feature of the spectrum; formula and source in the sidecar of the features table",
    "n_runs": "Training runs (repeat × fold)",
}


def describe_clusters(levels: Sequence[str], threshold: float, n_draws: int) -> dict[str, Any]:
    """Descriptions of the columns of the table of clusters."""
    return {
        **_TEST_COLUMNS,
        "cluster": "Number of the cluster in its trajectory, in the order of time; 0 where there is none",
        "first_epoch": "First epoch of the cluster",
        "last_epoch": "Last epoch of the cluster",
        "mass": {
            "Description": f"Sum of t over its epochs, positive where {levels[1]!r} is larger than {levels[0]!r}",
            "Threshold": f"epochs with p < {threshold:g} of the noise-corrected jackknife t-test",
        },
        "p_value": (
            f"Share of {n_draws} draws without a difference that have a cluster as large in this trajectory: corrected "
            "for all epochs (Maris & Oostenveld 2007; draws by a multiplier bootstrap of the jackknife)"
        ),
        "p_corrected": "The same against the largest cluster of all trajectories: corrected for the whole family",
        "family": "Trajectories that were corrected together",
        "status": "Exploratory: which epochs differ is found by looking at all of them",
        "test": "Test that was done, or 'not tested' and why",
    }


def describe_mixed_models(levels: Sequence[str], correction: str, alpha: float) -> dict[str, Any]:
    """Descriptions of the columns of the table of mixed models."""
    reference, comparison = levels
    return {
        **_TEST_COLUMNS,
        "effect": {
            "Description": "Fixed effect of the model",
            "Levels": {
                EFFECTS[0]: f"{comparison!r} minus {reference!r} in the middle of training",
                EFFECTS[1]: "Change of that difference from the first epoch to the last",
            },
        },
        "estimate": "Estimate, in the unit of the feature",
        "ci_low": f"Lower end of its {100 * (1 - alpha):g} % confidence interval",
        "ci_high": "Upper end of that interval",
        "statistic": "Estimate over its standard error",
        "design_effect": (
            "By which the variance of the model, which takes runs for independent, is multiplied, since they share "
            "participants: variance of the paired test of stats.test over that of independent runs (Kish 1965)"
        ),
        "relative_width": "Width of the interval over that of the two-stage analysis",
        "df": (
            "Degrees of freedom of t: those of the paired test of stats.test, less where few runs weigh most "
            "(Satterthwaite)"
        ),
        "p_value": "Two-sided, not corrected",
        "p_corrected": f"Corrected for all tests of the family ({correction})",
        "family": "Tests that were corrected together",
        "status": "Exploratory: no family of stats.plan holds them",
        "test": {
            "Description": "Analysis that stands, or 'not tested' and why",
            "Levels": {
                MIXED: "Random level and slope of the difference in each run, variances in closed form; no search",
                TWO_STAGE: "A line through the differences of each run, and the paired test of level and slope",
            },
        },
        "note": {
            "Description": "Why this analysis stands; n/a where nothing was tested",
            "Levels": {
                COMPLETE: "The mean of the lines through the runs, and the paired test of it (restricted likelihood)",
                WEIGHTED: "Generalised least squares with bias-reduced errors (Swamy 1970; Bell & McCaffrey 2002)",
                DISAGREE: (
                    f"The model is trusted where its interval is at most {FACTOR:g} times as wide or as narrow as that "
                    "of the two-stage analysis, which keeps its level without variances being fitted"
                ),
                NO_NOISE: "Two points lie on a line",
            },
        },
    }


def find_differing_epochs(
    trajectories: Trajectories,
    n_participants: int,
    *,
    threshold: float,
    n_draws: int,
    seed: int,
    one_partition: bool = False,
) -> "pd.DataFrame":
    """Find the stretches of training in which the groups of one network differ.

    Parameters
    ----------
    trajectories : Trajectories
        Features of both groups.
    n_participants : int
        Participants of the cohort.
    threshold : float
        p-value of an epoch below which it belongs to a cluster; no choice of it makes the test too eager.
    n_draws : int
        Draws without a difference.
    seed : int
        Seed of the draws; they depend on the name of the network too.
    one_partition : bool
        Whether all repeats leave out the same folds, as sites are.

    Returns
    -------
    DataFrame
        A row a cluster, and one for each trajectory without any; columns of `describe_clusters`.

    Raises
    ------
    ConfigError
        If a repeat lacks a fold.
    """
    import pandas as pd

    n_repeats, n_folds = fold_shape(trajectories.runs, trajectories.model)
    reasons = _explain(trajectories, gaps=False)
    differences = trajectories.comparison - trajectories.reference
    differences = differences.reshape(n_repeats, n_folds, *differences.shape[1:])
    result = noise_corrected_jackknife_t_test(differences, n_participants, one_partition=one_partition)
    cutoff = float(stats.t.ppf(1 - threshold / 2, result.df))
    rng = np.random.default_rng([seed, *trajectories.model.encode()])
    draws = jackknife_draws(differences, n_participants, n_draws, rng, one_partition=one_partition)
    level = np.maximum(np.abs(trajectories.reference), np.abs(trajectories.comparison)).max(axis=(0, 1))
    equal = np.ptp(differences, axis=(0, 1)) <= SINGLE_PRECISION * level
    draws[:, equal] = np.nan
    largest = largest_mass(draws, cutoff)
    statistics = np.where(equal | np.array([text != "" for text in reasons]), np.nan, result.statistic)
    rows = []
    for kind, tests in trajectories.tests.groupby("kind", sort=False):
        tested = [test for test in tests.index if not reasons[test]]
        of_family = largest[:, tested].max(axis=1, initial=0.0)
        for test, names in tests.iterrows():
            clusters = find_clusters(statistics[:, test], cutoff)
            found = pd.DataFrame(
                {
                    "cluster": range(1, len(clusters) + 1),
                    "first_epoch": [trajectories.epochs[cluster.start] for cluster in clusters],
                    "last_epoch": [trajectories.epochs[cluster.stop - 1] for cluster in clusters],
                    "mass": [cluster.mass for cluster in clusters],
                    "p_value": cluster_p(clusters, largest[:, test]),
                    "p_corrected": cluster_p(clusters, of_family),
                }
            )
            rows.append(
                (found if clusters else pd.DataFrame([{"cluster": 0}])).assign(
                    **names,
                    family=f"model {trajectories.model}, kind {kind}, exploratory: {len(tested)} trajectories",
                    test=f"not tested: {reasons[test]}" if reasons[test] else "cluster mass, jackknife draws",
                )
            )
    return _finish(pd.concat(rows, ignore_index=True), trajectories, list(describe_clusters(("", ""), 0.05, 1)))


def model_trajectories(
    trajectories: Trajectories, splits: "pd.DataFrame", *, test: str, correction: str, alpha: float
) -> "pd.DataFrame":
    """Fit the mixed model to every trajectory of one network.

    Parameters
    ----------
    trajectories : Trajectories
        Features of both groups; some runs may lack epochs, as where training stopped early.
    splits : DataFrame
        Columns repeat, fold, participant_id, set.
    test : str
        Paired test, one of `gradspec.stats.group_differences.TESTS`, that gives the design effect.
    correction : str
        Correction over layers, features and effects of a kind.
    alpha : float
        One minus the confidence of the intervals.

    Returns
    -------
    DataFrame
        Two rows a trajectory, one for each effect; columns of `describe_mixed_models`.
    """
    import pandas as pd

    rows = []
    reasons = _explain(trajectories, gaps=True)
    paired_test, _ = choose_test(splits, trajectories.runs, trajectories.model, test, alpha)
    for number, names in trajectories.tests.iterrows():
        if reasons[number]:
            rows += [{**names, "effect": effect, "test": f"not tested: {reasons[number]}"} for effect in EFFECTS]
            continue
        of_groups = trajectories.reference[..., number], trajectories.comparison[..., number]
        fit = fit_mixed_model(*of_groups, paired_test, alpha)._asdict()
        for position, effect in enumerate(EFFECTS):
            of_effect = {name: value if isinstance(value, str) else value[position] for name, value in fit.items()}
            if of_effect["note"] == SAME:
                of_effect |= {"note": np.nan, "df": np.nan, "test": f"not tested: {SAME}"}
            rows.append({**names, "effect": effect, **of_effect})
    columns = list(describe_mixed_models(("", ""), correction, alpha))
    families = []
    for kind, part in pd.DataFrame(rows).reindex(columns=columns).groupby("kind", sort=False):
        p_values = part["p_value"].to_numpy(dtype=float)
        family = f"model {trajectories.model}, kind {kind}, exploratory: {int(np.isfinite(p_values).sum())} tests"
        families.append(part.assign(p_corrected=correct(p_values, correction), family=family))
    return _finish(pd.concat(families).sort_index(), trajectories, columns)


def _explain(trajectories: Trajectories, *, gaps: bool) -> list[str]:
    """Why a trajectory cannot be tested, by a test that takes gaps or not; empty where it can."""
    n_runs, n_epochs = trajectories.reference.shape[:2]
    differences = trajectories.comparison - trajectories.reference
    defined = np.isfinite(differences)
    fewest = defined.sum(axis=1).min(axis=0)
    high, low = (np.where(defined, sign * differences, -np.inf).max(axis=(0, 1)) for sign in (1, -1))
    both = np.stack([trajectories.reference, trajectories.comparison])
    level: Float[np.ndarray, test] = np.abs(both).max(axis=(0, 1, 2), where=np.isfinite(both), initial=0.0)
    flat = high + low <= SINGLE_PRECISION * level

    def reason(test: int) -> str:
        if n_runs < FEWEST_RUNS:
            return f"{n_runs} runs, at least {FEWEST_RUNS} are needed"
        if n_epochs < 2:
            return "one epoch is no trajectory"
        if not gaps and fewest[test] < n_epochs:
            return "undefined in some epochs"
        if fewest[test] < 2:
            return "undefined in all epochs but one, or in all, of a run"
        return "the difference is the same in every run and epoch" if flat[test] else ""

    return [reason(test) for test in range(differences.shape[2])]


def _finish(table: "pd.DataFrame", trajectories: Trajectories, columns: list[str]) -> "pd.DataFrame":
    about = {"model": trajectories.model, "n_runs": len(trajectories.runs), "status": "exploratory"}
    return table.assign(**about).reindex(columns=columns)
