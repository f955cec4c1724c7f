"""The Methods section: what was done to the images, told from what really ran.

The sentences come from the status of the participants (steps that were done, counts, versions of the software) and from
the settings they were done with.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gradspec import __version__
from gradspec.preprocess import SPACE

_REFERENCES = {
    "nipype": "Gorgolewski et al. (2011), Frontiers in Neuroinformatics 5, 13",
    "deepbet": "Fisch et al. (2024), Computers in Biology and Medicine 179, 108845",
    "N4": "Tustison et al. (2010), IEEE Transactions on Medical Imaging 29, 1310",
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


def describe_methods(statuses: Iterable[Mapping[str, Any]], settings: Mapping[str, Any]) -> list[str]:
    """Write the Methods section.

    Parameters
    ----------
    statuses : iterable of mapping
        Status files of preprocessing and denoising; of one participant, or of all.
    settings : mapping
        The section ``preprocess`` of the configuration.

    Returns
    -------
    list of str
        Paragraphs in plain text, the last one the references; empty where nothing ran.
    """
    runs: dict[str, list[Mapping[str, Any]]] = {"preprocess": [], "denoise": []}
    people: dict[str, set[str]] = {"preprocess": set(), "denoise": set()}
    for status in statuses:
        runs[status["stage"]] += status["runs"]
        if status["runs"]:
            people[status["stage"]].add(status["participant_id"])
    paragraphs, cited = [], []
    if own := runs["preprocess"]:
        text, names = _describe_preprocessing(own, len(people["preprocess"]), settings)
        paragraphs, cited = [text], names
    if denoised := runs["denoise"]:
        text, names = _describe_denoising(denoised, len(people["denoise"]), settings, own=bool(own))
        paragraphs, cited = [*paragraphs, text], [*cited, *names]
    if not paragraphs:
        return []
    references = "; ".join(f"{name}: {_REFERENCES[name]}" for name in dict.fromkeys(cited))
    return [*paragraphs, f"References. {references}."]


def _describe_preprocessing(
    runs: Sequence[Mapping[str, Any]], n_people: int, settings: Mapping[str, Any]
) -> tuple[str, list[str]]:
    software = runs[0]["software"]
    cited = ["nipype", "deepbet", "N4", "SyN", "template"]
    metric = {"fast": "mutual information", "precise": "cross-correlation"}[settings["normalization"]]
    dummies = sorted({run["quality"]["n_dummy_scans"] for run in runs})
    counted = f"{dummies[0]}" if len(dummies) == 1 else f"{dummies[0]} to {dummies[-1]}"
    source = "as the configuration states" if settings["dummy_scans"] is not None else "found as outliers of the mean"
    estimator = "least squares (Gauss-Newton, gradient of the reference)"
    cited += ["Gauss-Newton", "SimpleITK", "Mattes"]
    if settings["motion"] == "precise":
        estimator += f" and from there on mutual information (SimpleITK {software['SimpleITK']})"
    timing = (
        "slices were then brought to the middle of each volume's acquisition by cubic splines in time"
        if settings["slice_timing"]
        else "slice timing was not corrected"
    )
    text = (
        f"Images of {_count(n_people, 'participant')} ({_count(len(runs), 'BOLD run')}) were preprocessed with "
        f"gradspec {__version__} on nipype {software['nipype']}. "
        f"The T1w image was skull-stripped (deepbet {software['deepbet']}), corrected for the bias field (N4, "
        f"{software['ANTs']}) and normalised to the ICBM 2009a non-linear symmetric template ({SPACE}) by affine and "
        f"SyN registration on {metric}. "
        f"Of each BOLD run, dummy scans ({source}; {counted} a run) were marked, a reference was made of volumes after "
        f"them, and head motion was estimated by rigid registration to it by {estimator}; {timing}. Susceptibility "
        "distortion was not corrected. "
        "The reference was registered to the T1w image by a rigid transform on mutual information (SimpleITK "
        f"{software['SimpleITK']}), and motion, coregistration and normalisation were applied in one cubic-spline "
        f"interpolation at {settings['resolution']:g} mm. "
        "Framewise displacement, DVARS, mean signals of ventricles, deep white matter and brain, 24 motion terms, and "
        "anatomical and temporal CompCor (cosines below 1/128 Hz removed) were computed from the result."
    )
    return text, [*cited, "FD", "DVARS", "24P", "CompCor"]


def _describe_denoising(
    runs: Sequence[Mapping[str, Any]], n_people: int, settings: Mapping[str, Any], own: bool
) -> tuple[str, list[str]]:
    denoise, cited = settings["denoise"], ["nilearn", "one step"]
    confounds = {
        "none": [],
        "simple": ["six motion parameters", "the mean signals of liquor and white matter"],
        "24P+aCompCor": ["24 motion terms", "five components of anatomical CompCor with their cosines"],
    }[denoise["strategy"]]
    cited += ["24P", "CompCor"] if denoise["strategy"] == "24P+aCompCor" else []
    parts = list(confounds)
    if denoise["high_pass"] is not None and denoise["strategy"] != "24P+aCompCor":
        parts.append(f"cosines below {denoise['high_pass']:g} Hz")
    if denoise["scrub"]:
        parts.append("one regressor for each motion outlier (displacement > 0.5 mm or standardised DVARS > 1.5)")
        cited.append("FD")
    removed = f"{', '.join(parts)}, and a linear trend" if parts else "only a linear trend"
    left = sorted(run["quality"]["degrees_of_freedom"] for run in runs)
    degrees = f"{left[0]}" if left[0] == left[-1] else f"{left[0]} to {left[-1]}"
    smoothing = f"smoothed ({settings['fwhm']:g} mm FWHM)" if settings["fwhm"] else "not smoothed"
    beginning = (
        "The preprocessed runs"
        if own
        else f"Derivatives in fMRIPrep's form of {_count(n_people, 'participant')} ({_count(len(runs), 'BOLD run')})"
    )
    text = (
        f"{beginning} were {smoothing} and denoised in one least-squares step (nilearn "
        f"{runs[0]['software']['nilearn']}, gradspec {__version__}): {removed} were regressed out, which left "
        f"{degrees} degrees of freedom a run. Signals were scaled to percent of the grand mean."
    )
    return text, cited if own else ["fMRIPrep", *cited]


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
