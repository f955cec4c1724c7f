r"""Scores of people beside their covariates, which tell whether networks see the group or rather age, sex or motion.

The score of a participant is the log-odds of the comparison group, :math:`\ln p / (1 - p)`, from networks that did not
see this participant in training, mean over repeats and scans. It is regressed on the group, without and with the
covariates, by ordinary least squares with standard errors that allow for unequal variances (HC3, MacKinnon and White
1985; Long and Ervin 2000). A difference that vanishes with the covariates is one that they can account for.

Scores of a cross-validation depend on each other, since everybody trained the networks that scored the others: the
variance of the group is doubled, see `gradspec.stats.shared_networks`. The networks did not learn the covariates, so
that theirs is right as it is.

Whoever is alone with a category of a covariate, the only person of a site say, is fitted exactly and has leverage 1:
the residual and what HC3 divides it by are both rounding. Such people say nothing about the other terms and are left
out, with the column that they alone have; the tables name them.
"""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats
from statsmodels.regression.linear_model import OLS

from gradspec.errors import ConfigError
from gradspec.stats.effect_size import effect_interval
from gradspec.stats.metrics import reconstructs
from gradspec.stats.multiplicity import correct
from gradspec.stats.shared_networks import VARIANCE_FACTOR

if TYPE_CHECKING:
    import pandas as pd

GROUP = "group"
UNADJUSTED, ADJUSTED = "none", "covariates"

_LARGEST_LOGIT = 15.0  # single precision knows no probability nearer to 0 or 1
_ROUNDING = 1e-10  # a leverage this near to 1 is 1; columns this near to dependence are dependent

logger = logging.getLogger(__name__)


def describe_scores(levels: Sequence[str], covariates: Sequence[str], correction: str, alpha: float) -> dict[str, Any]:
    """Descriptions of the columns of the table of scores and covariates."""
    reference, comparison = levels
    return {
        "model": "Network",
        "adjustment": {
            "Description": "What the group is adjusted for",
            "Levels": {UNADJUSTED: "Nothing", ADJUSTED: f"Covariates: {', '.join(covariates) or 'none were named'}"},
        },
        "term": {
            "Description": (
                "Term of the regression of the score; a category of a covariate is held against the first one. "
                f"{GROUP}: {comparison!r} minus {reference!r}"
            ),
            "Score": f"Log-odds of {comparison!r} from networks that did not see the participant, mean over repeats",
        },
        "n_participants": "Participants with all covariates; the same with and without adjustment",
        "n_missing": "Participants that were left out, because a covariate is missing",
        "left_out": (
            "Participants that were left out of both regressions, because each alone has a category of a covariate "
            "(leverage 1): they are fitted exactly, so that the other terms do not depend on them"
        ),
        "estimate": {"Description": "Change of the score by the term", "Units": "log-odds by unit of the covariate"},
        "ci_low": f"Lower end of its {100 * (1 - alpha):g} % confidence interval (HC3; doubled for the group)",
        "ci_high": "Upper end of that interval",
        "effect_size": "Hedges' g of the group: estimate over the residual standard deviation, corrected for small n",
        "effect_low": "Lower end of its confidence interval, by inverting the noncentral t",
        "effect_high": "Upper end of that interval",
        "statistic": "Estimate over its standard error",
        "df": "Degrees of freedom of t",
        "p_value": (
            "Two-sided, not corrected. The variance of the group is doubled, since people depend on each other through "
            "the networks that learnt it from them and scored them"
        ),
        "p_corrected": f"Corrected for the networks ({correction}), for each adjustment and term",
        "status": "Exploratory",
        "test": "Regression that was done, or 'not tested' and why",
    }


def regress_scores(
    predictions: "pd.DataFrame",
    participants: "pd.DataFrame",
    *,
    levels: Sequence[str],
    covariates: Sequence[str],
    correction: str,
    alpha: float,
) -> "pd.DataFrame":
    """Regress the scores of every network on the group, without and with covariates.

    Parameters
    ----------
    predictions : DataFrame
        Predictions of test participants: model, participant_id, group, probability (of ``levels[1]``).
    participants : DataFrame
        A row a participant: participant_id and the covariates; text is a category, what is a number is linear.
    levels : (str, str)
        Reference and comparison group.
    covariates : sequence of str
        Columns of `participants`; without any, the adjusted rows are left out.
    correction : str
        Correction for the number of networks.
    alpha : float
        One minus the confidence of the intervals.

    Returns
    -------
    DataFrame
        A row a network, adjustment and term, with the columns of `describe_scores`; where the covariates cannot be told
        from the group, one row that says so.

    Raises
    ------
    ConfigError
        If a covariate is not in the table.
    """
    import pandas as pd

    absent = [name for name in covariates if name not in participants]
    if absent:
        raise ConfigError(
            f"cohort.covariates names {', '.join(absent)}, which participants.tsv has not; it has "
            f"{', '.join(participants.columns)}"
        )
    known = participants.set_index("participant_id")[list(covariates)].dropna()
    rows: list[dict[str, Any]] = []
    for model, part in predictions.groupby("model", sort=False):
        probability = np.clip(part["probability"].to_numpy(dtype=float), 1e-300, 1 - 1e-16)
        logit = np.clip(np.log(probability) - np.log1p(-probability), -_LARGEST_LOGIT, _LARGEST_LOGIT)
        people = (
            part.assign(score=logit).groupby("participant_id").agg(score=("score", "mean"), group=("group", "first"))
        )
        complete = people.join(known, how="inner")
        whole = _design(complete, levels, covariates)
        complete, design, left_out = _leave_out_alone(complete, levels, covariates)
        if left_out:
            logger.warning("%s: left out of the regression of scores, leverage 1: %s", model, ", ".join(left_out))
        about = {
            "model": model,
            "n_participants": len(complete),
            "n_missing": len(people) - len(complete) - len(left_out),
            "left_out": ", ".join(left_out),
        }
        for adjustment, columns in {UNADJUSTED: design[["intercept", GROUP]], ADJUSTED: design}.items():
            if covariates or adjustment == UNADJUSTED:
                score = complete["score"].to_numpy()
                reason = _explain(score, columns) if not reconstructs(part) else "not tested: it predicts no group"
                fitted = [{"term": GROUP, "test": reason}] if reason else _regress(score, columns, alpha)
                if adjustment == ADJUSTED and not reason:
                    fitted += _tell_lost(whole, design, left_out)
                rows += [{**about, "adjustment": adjustment, **row} for row in fitted]
    columns = list(describe_scores(levels, covariates, correction, alpha))
    table = pd.DataFrame(rows).reindex(columns=columns).assign(status="exploratory")
    corrected = [
        part.assign(p_corrected=correct(part["p_value"].to_numpy(dtype=float), correction))
        for _, part in table.groupby(["adjustment", "term"], sort=False)
    ]
    return pd.concat(corrected).sort_index()


def _design(people: "pd.DataFrame", levels: Sequence[str], covariates: Sequence[str]) -> "pd.DataFrame":
    """Columns of the regression: intercept, group, numbers as they are, and all categories but the first."""
    import pandas as pd

    columns = {"intercept": np.ones(len(people)), GROUP: (people["group"] == levels[1]).to_numpy(dtype=float)}
    for name in covariates:
        if pd.api.types.is_numeric_dtype(people[name]):
            columns[name] = people[name].to_numpy(dtype=float)
            continue
        for category in sorted(set(people[name].astype(str)))[1:]:
            columns[f"{name}: {category}"] = (people[name].astype(str) == category).to_numpy(dtype=float)
    return pd.DataFrame(columns, index=people.index)


def _leave_out_alone(
    people: "pd.DataFrame", levels: Sequence[str], covariates: Sequence[str]
) -> tuple["pd.DataFrame", "pd.DataFrame", list[str]]:
    """Take out people of leverage 1, and give those who remain, their design, and who was taken out."""
    left_out: list[str] = []
    while True:
        design = _design(people, levels, covariates)
        lost = [name for name in design.columns[2:] if left_out and design[name].nunique() < 2]
        design = design.drop(columns=lost)
        alone = _leverage(design) > 1 - _ROUNDING
        if not alone.any() or alone.all():
            return people, design, left_out
        left_out += list(people.index[alone])
        people = people[~alone]


def _leverage(design: "pd.DataFrame") -> np.ndarray:
    """Diagonal of the projection on the columns, which may depend on each other."""
    size = np.sqrt(np.square(design).sum()).replace(0, 1)
    vectors, values, _ = np.linalg.svd((design / size).to_numpy(), full_matrices=False)
    leverage: np.ndarray = np.square(vectors[:, values > _ROUNDING]).sum(axis=1)
    return leverage


def _tell_lost(whole: "pd.DataFrame", design: "pd.DataFrame", left_out: Sequence[str]) -> list[dict[str, Any]]:
    """Give a row to each term that is gone with the people who were left out."""
    rows = []
    for term in whole.columns.difference(design.columns, sort=False):
        gone = whole.loc[whole[term] != 0].index.isin(left_out).all()
        why = "only those left out have it" if gone else "the others are held against it, since those left out are gone"
        rows.append({"term": term, "test": f"not tested: {why}"})
    return rows


def _explain(score: np.ndarray, design: "pd.DataFrame") -> str:
    """Why the score cannot be regressed; empty where it can."""
    if not np.isfinite(score).all():
        return "not tested: the network predicts NaN"
    size = np.sqrt(np.square(design).sum()).replace(0, 1)
    if len(design) < design.shape[1] + 2:
        return f"not tested: {len(design)} participants are too few for {design.shape[1]} columns"
    if design[GROUP].nunique() < 2:
        return "not tested: without participants of leverage 1 there is one group only"
    if np.linalg.matrix_rank((design / size).to_numpy(), tol=_ROUNDING) < design.shape[1]:
        return f"not tested: {', '.join(design.columns[1:])} cannot be told from each other; take a covariate out"
    return ""


def _regress(score: np.ndarray, design: "pd.DataFrame", alpha: float) -> list[dict[str, Any]]:
    """Regress the scores, and give a row a term but the intercept."""
    result = OLS(score, design.to_numpy()).fit(cov_type="HC3", use_t=True)
    df = float(result.df_resid)
    error = result.bse * np.sqrt(np.where(design.columns == GROUP, VARIANCE_FACTOR, 1.0))
    statistic = result.params / error
    margin = stats.t.ppf(1 - alpha / 2, df) * error
    rows = []
    for position, term in enumerate(design.columns):
        row: dict[str, Any] = {
            "term": term,
            "estimate": result.params[position],
            "ci_low": result.params[position] - margin[position],
            "ci_high": result.params[position] + margin[position],
            "statistic": statistic[position],
            "df": df,
            "p_value": 2 * stats.t.sf(abs(statistic[position]), df),
            "test": "least squares, HC3",
        }
        if term == GROUP:
            small = 1 - 3 / (4 * df - 1)  # Hedges 1981, approximate
            row["effect_size"] = small * row["estimate"] / np.sqrt(result.mse_resid)
            row["effect_low"], row["effect_high"] = map(
                float, effect_interval(row["effect_size"], row["statistic"], df, alpha)
            )
        rows.append(row)
    return [row for row in rows if row["term"] != "intercept"]
