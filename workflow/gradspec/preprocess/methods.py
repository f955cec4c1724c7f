"""The Methods section: what was done to the images, told from what really ran.

The sentences come from the runs (steps that were done, counts, versions of the software) and from the settings they
were done with.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from gradspec import __version__
from gradspec.cohort.runs import BoldRun
from gradspec.preprocess import SPACE
from gradspec.preprocess.steps import confound_groups

_REFERENCES = {
    "nipype": "Gorgolewski et al. (2011), Frontiers in Neuroinformatics 5, 13",
    "deepbet": "Fisch et al. (2024), Computers in Biology and Medicine 179, 108845",
    "N4": "Tustison et al. (2010), IEEE Transactions on Medical Imaging 29, 1310",
    "Atropos": "Avants et al. (2011), Neuroinformatics 9, 381",
    "SyN": "Avants et al. (2008), Medical Image Analysis 12, 26",
    "template": "Fonov et al. (2011), NeuroImage 54, 313",
    "SimpleITK": "Lowekamp et al. (2013), Frontiers in Neuroinformatics 7, 45",
    "Mattes": "Mattes et al. (2003), IEEE Transactions on Medical Imaging 22, 120",
    "Gauss-Newton": "Baker and Matthews (2004), International Journal of Computer Vision 56, 221",
    "FD": "Power et al. (2012), NeuroImage 59, 2142",
    "DVARS": "Nichols (2013), bioRxiv 125021",
    "CompCor": "Behzadi et al. (2007), NeuroImage 37, 90",
    "24P": "Satterthwaite et al. (2013), NeuroImage 64, 240",
    "one step": "Lindquist et al. (2019), Human Brain Mapping 40, 2358",
    "nilearn": "Abraham et al. (2014), Frontiers in Neuroinformatics 8, 14",
    "fMRIPrep": "Esteban et al. (2019), Nature Methods 16, 111",
}

_REGRESSED = {
    "none": (),
    "6P": ("six motion parameters",),
    "24P": ("24 motion terms",),
    "simple": ("six motion parameters", "the mean signals of liquor and white matter"),
    "24P+aCompCor": ("24 motion terms",),
}
_SCALES = {
    "grand_mean": "Signals were scaled to percent of the grand mean.",
    "none": "Signals were not scaled.",
}


def describe_methods(runs: Sequence[BoldRun], settings: Mapping[str, Any]) -> list[str]:
    """Write the Methods section.

    Parameters
    ----------
    runs : sequence of BoldRun
        Runs of one participant, or of all; what made them is known by their `software`.
    settings : mapping
        The section ``preprocess`` of the configuration.

    Returns
    -------
    list of str
        Paragraphs in plain text, the last one the references; empty where nothing ran.
    """
    own, denoised = ([run for run in runs if program in run.software] for program in ("nipype", "nilearn"))
    paragraphs, cited = [], []
    if own:
        text, names = _describe_preprocessing(own, settings)
        paragraphs, cited = [text], names
    if denoised:
        text, names = _describe_denoising(denoised, settings, own=bool(own))
        paragraphs, cited = [*paragraphs, text], [*cited, *names]
    if not paragraphs:
        return []
    references = "; ".join(f"{name}: {_REFERENCES[name]}" for name in dict.fromkeys(cited))
    return [*paragraphs, f"References. {references}."]


def _describe_preprocessing(runs: Sequence[BoldRun], settings: Mapping[str, Any]) -> tuple[str, list[str]]:
    software = runs[0].software
    ways = {run.normalized for run in runs}
    parts = [
        _describe_t1w(settings, software) if "T1w" in ways else ("", []),
        _describe_motion(runs, settings, software),
        _describe_registration(runs, settings, software),
        _describe_confounds(settings, has_t1w="T1w" in ways),
    ]
    text = (
        f"Images of {_people(runs)} ({_count(len(runs), 'BOLD run')}) were preprocessed with "
        f"gradspec {__version__} on nipype {software['nipype']}. " + " ".join(text for text, _ in parts if text)
    )
    return text, ["nipype", *(name for _, names in parts for name in names)]


def _describe_t1w(settings: Mapping[str, Any], software: Mapping[str, str]) -> tuple[str, list[str]]:
    steps, cited = [f"skull-stripped (deepbet {software['deepbet']})"], ["deepbet"]
    if settings["bias_field"]:
        steps.append(f"corrected for the bias field (N4, {software['ANTs']})")
        cited.append("N4")
    if settings["segmentation"] == "atropos":
        steps.append(f"segmented into liquor, grey and white matter (Atropos, {software['ANTs']})")
        cited.append("Atropos")
    template = f"normalised to the ICBM 2009a non-linear symmetric template ({SPACE}) by {_warp(settings, software)}"
    *first, last = [*steps, template]
    return f"The T1w image was {', '.join(first)} and {last}.", [*cited, "SyN", "template"]


def _warp(settings: Mapping[str, Any], software: Mapping[str, str]) -> str:
    ants = software["ANTs"]
    return {
        "affine": f"affine registration on mutual information ({ants})",
        "fast": f"affine and SyN registration on mutual information ({ants})",
        "precise": f"affine and SyN registration on cross-correlation ({ants})",
    }[settings["normalization"]]


def _describe_motion(
    runs: Sequence[BoldRun], settings: Mapping[str, Any], software: Mapping[str, str]
) -> tuple[str, list[str]]:
    dummies = sorted({run.quality["n_dummy_scans"] for run in runs})
    counted = f"{dummies[0]}" if len(dummies) == 1 else f"{dummies[0]} to {dummies[-1]}"
    source = "as the configuration states" if settings["dummy_scans"] is not None else "found as outliers of the mean"
    motion, cited = {
        "precise": (
            "head motion was estimated by rigid registration to it by least squares (Gauss-Newton, gradient of the "
            f"reference) and from there on mutual information (SimpleITK {software['SimpleITK']})",
            ["Gauss-Newton", "SimpleITK", "Mattes"],
        ),
        "fast": (
            "head motion was estimated by rigid registration to it by least squares (Gauss-Newton, gradient of the "
            "reference)",
            ["Gauss-Newton"],
        ),
        "none": ("head motion was neither estimated nor corrected", []),
    }[settings["motion"]]
    timing = (
        "slices were then brought to the middle of each volume's acquisition by cubic splines in time"
        if settings["slice_timing"]
        else "slice timing was not corrected"
    )
    text = (
        f"Of each BOLD run, dummy scans ({source}; {counted} a run) were marked, a reference was made of volumes after "
        f"them, and {motion}; {timing}. Susceptibility distortion was not corrected."
    )
    return text, cited


def _describe_registration(
    runs: Sequence[BoldRun], settings: Mapping[str, Any], software: Mapping[str, str]
) -> tuple[str, list[str]]:
    alone = [run for run in runs if run.normalized == "BOLD"]
    sentences, cited, steps = [], [], []
    if len(alone) < len(runs):
        sentences.append(
            "The reference was registered to the T1w image by a rigid transform on mutual information (SimpleITK "
            f"{software['SimpleITK']})."
        )
        cited, steps = ["SimpleITK", "Mattes"], ["coregistration"]
    if alone:
        which = (
            f"{_count(len(alone), 'run')} without a T1w image, the BOLD reference"
            if settings["coregistration"]
            else "every run, the BOLD reference"
        )
        corrected = (
            f"was corrected for the bias field (N4, {software['ANTs']}) and" if settings["bias_field"] else "was"
        )
        sentences.append(
            f"Of {which} {corrected} itself normalised to the ICBM 2009a non-linear symmetric template ({SPACE}), "
            "given the contrast of a BOLD image by its tissue maps, by affine registration on mutual information "
            f"(SimpleITK {software['SimpleITK']})."
        )
        cited += [*(["N4"] if settings["bias_field"] else []), "SimpleITK", "Mattes", "template"]
    steps = [*(["motion"] if settings["motion"] != "none" else []), *steps, "normalisation"]
    applied = " and ".join(filter(None, [", ".join(steps[:-1]), steps[-1]]))
    verb = "was" if len(steps) == 1 else "were"
    sentences.append(
        f"{applied[0].upper()}{applied[1:]} {verb} applied in one cubic-spline interpolation at "
        f"{settings['resolution']:g} mm."
    )
    return " ".join(sentences), cited


def _describe_confounds(settings: Mapping[str, Any], has_t1w: bool) -> tuple[str, list[str]]:
    groups, made, cited = confound_groups(settings), ["DVARS"], ["DVARS"]
    masks = "segmented" if has_t1w and settings["segmentation"] == "atropos" else "template's"
    if "motion" in groups:
        made = ["framewise displacement", *made, "24 motion terms"]
        cited = ["FD", *cited, "24P"]
    if "signals" in groups:
        made.append(f"mean signals of ventricles, deep white matter ({masks} masks) and brain")
    kinds = [word for group, word in (("a_comp_cor", "anatomical"), ("t_comp_cor", "temporal")) if group in groups]
    if kinds:
        made.append(
            f"{' and '.join(kinds)} CompCor (after the cosines of fMRIPrep, slower than 1/128 Hz, were removed)"
        )
        cited.append("CompCor")
    if "outliers" in groups:
        made.append("marks of motion outliers")
    text = f"{made[0]} was" if len(made) == 1 else f"{', '.join(made[:-1])} and {made[-1]} were"
    return f"{text[0].upper()}{text[1:]} computed from the result.", cited


def _describe_denoising(runs: Sequence[BoldRun], settings: Mapping[str, Any], own: bool) -> tuple[str, list[str]]:
    denoise, cited = settings["denoise"], ["nilearn", "one step"]
    parts = list(_REGRESSED[denoise["strategy"]])
    cited += ["24P"] if denoise["strategy"].startswith("24P") else []
    if denoise["strategy"] == "24P+aCompCor":
        parts += _describe_compcor(runs)
        cited.append("CompCor")
    if denoise["high_pass"] is not None:
        parts.append(f"all cosines up to {denoise['high_pass']:g} Hz")
    if denoise["scrub"]:
        parts.append("one regressor for each motion outlier (displacement > 0.5 mm or standardised DVARS > 1.5)")
        cited.append("FD")
    if denoise["linear_trend"]:
        parts.append("a linear trend")
    *most, last = parts or ["nothing"]
    removed = f"{', '.join(most)}, and {last}" if most else f"only {last}" if parts else "nothing"
    left = sorted(run.quality["degrees_of_freedom"] for run in runs)
    degrees = f"{left[0]}" if left[0] == left[-1] else f"{left[0]} to {left[-1]}"
    smoothing = f"smoothed ({settings['fwhm']:g} mm FWHM)" if settings["fwhm"] else "not smoothed"
    beginning = (
        "The preprocessed runs"
        if own
        else f"Derivatives in fMRIPrep's form of {_people(runs)} ({_count(len(runs), 'BOLD run')})"
    )
    text = (
        f"{beginning} were {smoothing} and denoised in one least-squares step (nilearn "
        f"{runs[0].software['nilearn']}, gradspec {__version__}): {removed} {'were' if most else 'was'} regressed "
        f"out, which left {degrees} degrees of freedom a run. {_SCALES[settings['intensity']]}"
    )
    return text, cited if own else ["fMRIPrep", *cited]


def _describe_compcor(runs: Sequence[BoldRun]) -> list[str]:
    """Components of aCompCor, and the cosines that came with them, as they were found."""
    counts = sorted({int(run.quality["n_components"]) for run in runs})
    components = _IN_WORDS[counts[0]] if len(counts) == 1 else f"{_IN_WORDS[counts[0]]} to {_IN_WORDS[counts[-1]]}"
    parts = [f"{components} component{'s' * (counts[-1] > 1)} of anatomical CompCor (liquor and white matter together)"]
    if with_cosines := sum(run.quality["n_cosines"] > 0 for run in runs):
        which = "" if with_cosines == len(runs) else f" (of {_count(with_cosines, 'run')})"
        parts.append(f"the cosines that were removed before these{which}")
    return parts


_IN_WORDS = ("no", "one", "two", "three", "four", "five")


def _people(runs: Sequence[BoldRun]) -> str:
    return _count(len({run.participant_id for run in runs}), "participant")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
