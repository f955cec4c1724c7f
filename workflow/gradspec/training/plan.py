"""What can be said of the training before any job runs; nothing heavy is imported."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from gradspec.errors import ConfigError
from gradspec.models.own import network_of


def check_training(config: Mapping[str, Any]) -> None:
    """Refuse keys that do not go together.

    Parameters
    ----------
    config : mapping
        The whole configuration with its defaults filled in.

    Raises
    ------
    ConfigError
        If ``training.site`` is none of ``cohort.covariates`` although ``training.split`` needs it, or is set although
        it does not; if a network has the name of a baseline, or hyper-parameters that do not go together; if
        ``training.patience`` has no validation set to wait for; or if a grouping is by a column that is not among the
        covariates, or of steps that are not recorded.
    """
    training, covariates = config["training"], config["cohort"]["covariates"]
    _check_split(training["split"], training["site"], covariates)
    if named := {"dummy", "logistic", "svm"} & training["models"].keys():
        raise ConfigError(f"training.models: {', '.join(sorted(named))} is the name of a baseline; choose another")
    for model, given in training["models"].items():
        _check_network(f"training.models.{model}", *network_of(model, given))
    if training["patience"] is not None and not training["validation"]:
        raise ConfigError(
            "training.patience stops by the loss of a validation set, but training.validation is 0; set it to the "
            "share of participants to keep from training, or training.patience to null"
        )
    if (training["groupings"] or training["alignment"]) and training["groupings_every"] % training["record_every"]:
        raise ConfigError(
            f"training.groupings_every is {training['groupings_every']}, but spectra are taken of every "
            f"{training['record_every']} steps only (training.record_every); set it to a multiple of that"
        )
    for name, grouping in training["groupings"].items():
        if grouping["column"] not in covariates:
            raise ConfigError(
                f"training.groupings.{name}: column {grouping['column']!r} is not among cohort.covariates "
                f"({', '.join(covariates) or 'none'}); name it there too"
            )


def count_epochs(share: float, epochs: int) -> int:
    """Epochs that a share of them touches, at least one."""
    return max(1, math.ceil(round(share * epochs, 9)))


def part_permutations(n_permutations: int, per_job: int | str) -> list[list[int]]:
    """Numbers of the arrangements that each job trains; 0, the labels as they are, is in the first.

    Parameters
    ----------
    n_permutations : int
        ``stats.permutation.retraining``; none gives no jobs.
    per_job : int or "all"
        ``stats.permutation.per_job``.
    """
    if not n_permutations:
        return []
    size = n_permutations if per_job == "all" else int(per_job)
    parts = [list(range(first, min(first + size, n_permutations + 1))) for first in range(1, n_permutations + 1, size)]
    return [[0, *parts[0]], *parts[1:]]


def check_columns(training: Mapping[str, Any], rows: Sequence[Mapping[str, str]]) -> None:
    """Refuse columns in which the participants are not parted as the training asks for.

    Parameters
    ----------
    training : mapping
        The section ``training`` of the configuration.
    rows : sequence of mapping
        Rows of the participants table; a column that is not there is made or measured by the workflow.

    Raises
    ------
    ConfigError
        If there are not as many sites as folds to leave one out in each, or a grouping has fewer than two groups, or
        no numbers to cut into quantiles.
    """
    sites = _values(rows, training["site"])
    if training["split"] == "leave-site-out" and sites and len(sites) != training["folds"]:
        raise ConfigError(
            f"training.split leaves out one site in each fold: there are {len(sites)} sites ({', '.join(sites)}), so "
            f"set training.folds to {len(sites)}"
        )
    for name, grouping in training["groupings"].items():
        column, values = grouping["column"], _values(rows, grouping["column"])
        if any(column in row for row in rows) and len(values) < max(2, grouping["quantiles"] or 2):
            raise ConfigError(
                f"training.groupings.{name}: column {column!r} has the values {', '.join(values) or 'n/a'} only; name "
                "another column, or take the grouping out"
            )
        if grouping["quantiles"] is not None and (text := [value for value in values if not _is_number(value)]):
            raise ConfigError(
                f"training.groupings.{name}: column {column!r} has no numbers to take quantiles of ({text[0]!r}); set "
                "quantiles to null, or name another column"
            )


def _values(rows: Sequence[Mapping[str, str]], column: str | None) -> list[str]:
    """Values of a column, sorted, without what is missing."""
    return sorted({row.get(column or "", "n/a") for row in rows} - {"n/a", ""})


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _check_network(key: str, network: str, hyperparameters: Mapping[str, Any]) -> None:
    """Refuse what the schema cannot, since it looks at one key at a time."""
    match network, hyperparameters:
        case "transformer", {"width": width, "heads": heads} if width % heads:
            raise ConfigError(f"{key}: width is {width}, not a multiple of heads ({heads}); change one of them")
        case "cnn1d", {"kernel": kernel} if kernel % 2 == 0:
            raise ConfigError(f"{key}: kernel is {kernel}, but must be odd; take {kernel - 1} or {kernel + 1}")


def _check_split(split: str, site: str | None, covariates: list[str]) -> None:
    if split == "stratified" and site is not None:
        raise ConfigError(
            f"training.site is {site!r}, but training.split 'stratified' takes no account of it; choose "
            "'site-stratified' or 'leave-site-out', or set training.site to null"
        )
    if split != "stratified" and site not in covariates:
        raise ConfigError(
            f"training.split is {split!r}, but training.site {site!r} is not among cohort.covariates "
            f"({', '.join(covariates) or 'none'}); name the column of the site in both"
        )
