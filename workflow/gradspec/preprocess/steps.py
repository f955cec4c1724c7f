"""Which steps a configuration asks for, and which of them cannot go together."""

from collections.abc import Mapping
from typing import Any

from gradspec.errors import ConfigError

_NEEDS = {
    "none": (),
    "6P": ("motion",),
    "24P": ("motion",),
    "simple": ("motion", "signals"),
    "24P+aCompCor": ("motion", "a_comp_cor"),
}
"""Groups of confounds that each denoising strategy takes its columns from."""


def confound_groups(settings: Mapping[str, Any]) -> list[str]:
    """Groups of confounds that are made: those asked for, without motion where it is not estimated.

    Parameters
    ----------
    settings : mapping
        The section ``preprocess`` of the configuration.
    """
    return [group for group in settings["confounds"] if group != "motion" or settings["motion"] != "none"]


def check_steps(settings: Mapping[str, Any]) -> None:
    """Refuse steps that need another one which is switched off.

    Parameters
    ----------
    settings : mapping
        The section ``preprocess`` of the configuration, for raw images.

    Raises
    ------
    ConfigError
        Naming each combination that is impossible, and what to change.
    """
    faults, groups, strategy = [], confound_groups(settings), settings["denoise"]["strategy"]
    if settings["segmentation"] == "atropos" and not settings["coregistration"]:
        faults.append(
            "segmentation is 'atropos', which works on the T1w image, but coregistration is false, so that the T1w "
            "image is not used; take segmentation: template, or coregistration: true"
        )
    for group in _NEEDS[strategy]:
        if group in groups:
            continue
        why = "motion is 'none'" if group in settings["confounds"] else f"confounds leaves {group!r} out"
        faults.append(
            f"denoise.strategy {strategy!r} regresses confounds of the group {group!r} out, but {why}; switch that on, "
            "or take another strategy"
        )
    for key, wanted in (
        ("denoise.scrub", settings["denoise"]["scrub"]),
        ("quality.max_outlier_share", settings["quality"]["max_outlier_share"] is not None),
    ):
        if wanted and "outliers" not in groups:
            faults.append(f"{key} is set, but confounds leaves 'outliers' out; add it there, or unset {key}")
    if faults:
        raise ConfigError(
            "The section preprocess asks for steps that cannot go together:\n"
            + "\n".join(f"  - preprocess.{fault}" for fault in faults)
        )
