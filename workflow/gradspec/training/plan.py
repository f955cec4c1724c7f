"""What can be said of the training before any job runs; nothing heavy is imported."""

from collections.abc import Mapping
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
    if named := {"dummy", "logistic"} & training["models"].keys():
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
