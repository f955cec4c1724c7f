from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gradspec.cohort.runs import BoldRun
from gradspec.config import resolve
from gradspec.preprocess.methods import describe_methods

SOFTWARE = {"ANTs": "ANTs 2.6.2", "nipype": "1.11.0", "SimpleITK": "2.5.7", "deepbet": "1.0.2"}


@pytest.fixture
def settings() -> dict[str, Any]:
    return deepcopy(resolve({"cohort": {"source": "simulated"}})["preprocess"])


def make_run(participant: str, **quality: int) -> BoldRun:
    programs = {"n_dummy_scans": SOFTWARE, "degrees_of_freedom": {"nilearn": "0.13.1"}}
    software = {name: version for number in quality for name, version in programs.get(number, {}).items()}
    numbers = {"n_components": 5, "n_cosines": 4, **quality}
    return BoldRun(participant, Path("bold.nii"), normalized="T1w", quality=numbers, software=software)


RUNS = [
    make_run("sub-01", n_dummy_scans=0, degrees_of_freedom=50),
    make_run("sub-02", n_dummy_scans=4, degrees_of_freedom=46),
    make_run("sub-03"),
]


def test_counts_and_versions_are_those_of_what_ran(settings: dict[str, Any]) -> None:
    images, denoising, references = describe_methods(RUNS, settings)
    assert "2 participants (2 BOLD runs)" in images
    assert "0 to 4 a run" in images
    for version in SOFTWARE.values():
        assert version in images
    assert "46 to 50 degrees of freedom" in denoising
    assert "nilearn 0.13.1" in denoising
    assert references.count("Avants et al. (2008)") == 1


@pytest.mark.parametrize(
    ("key", "value", "said", "unsaid"),
    [
        ("motion", "fast", "Gauss-Newton", "and from there on mutual information"),
        ("motion", "precise", "and from there on mutual information (SimpleITK", "registration to it on"),
        ("normalization", "precise", "cross-correlation", "registration on mutual information. Of"),
        ("slice_timing", True, "slices were then brought", "slice timing was not corrected"),
        ("slice_timing", False, "slice timing was not corrected", "slices were then brought"),
        ("dummy_scans", 4, "as the configuration states", "outliers of the mean"),
        ("fwhm", 0, "not smoothed", "FWHM"),
        ("normalization", "affine", "affine registration on mutual information", "SyN registration"),
        ("motion", "none", "head motion was neither estimated nor corrected", "24 motion terms"),
        ("bias_field", False, "skull-stripped (deepbet 1.0.2) and normalised", "bias field"),
        ("segmentation", "atropos", "segmented into liquor, grey and white matter (Atropos, ANTs 2.6.2)", "template's"),
        ("confounds", [], "DVARS was computed", "CompCor"),
        ("intensity", "none", "Signals were not scaled", "grand mean"),
        (
            "denoise",
            {"strategy": "24P+aCompCor", "high_pass": None},
            "24 motion terms, five components of",
            "cosines up",
        ),
        ("denoise", {"strategy": "24P", "high_pass": 0.01}, "24 motion terms, all cosines up to 0.01 Hz", "components"),
        ("denoise", {"strategy": "6P", "high_pass": None}, "six motion parameters, and a linear", "cosines up"),
        ("denoise", {"strategy": "simple", "high_pass": 0.01}, "all cosines up to 0.01 Hz", "outlier ("),
        ("denoise", {"strategy": "none", "high_pass": None}, "only a linear trend was regressed", "motion parameters"),
        (
            "denoise",
            {"strategy": "none", "high_pass": None, "linear_trend": False},
            "nothing was regressed out",
            "a linear trend",
        ),
    ],
)
def test_a_step_is_told_as_it_was_set(settings: dict[str, Any], key: str, value: Any, said: str, unsaid: str) -> None:
    value = {**settings[key], **value} if isinstance(value, dict) else value
    text = " ".join(describe_methods(RUNS, {**settings, key: value}))
    assert said in text
    assert unsaid not in text


def test_derivatives_of_fmriprep_are_told_as_such(settings: dict[str, Any]) -> None:
    denoising, references = describe_methods(
        [make_run("sub-01", degrees_of_freedom=50), make_run("sub-02", degrees_of_freedom=46)], settings
    )
    assert denoising.startswith("Derivatives in fMRIPrep's form of 2 participants (2 BOLD runs)")
    assert "Esteban" in references
    assert "Avants" not in references


def test_where_nothing_ran_nothing_is_told(settings: dict[str, Any]) -> None:
    assert describe_methods(RUNS[2:], settings) == []


def test_runs_without_a_t1w_image_are_told_apart(settings: dict[str, Any]) -> None:
    alone = replace(make_run("sub-02", n_dummy_scans=0), normalized="BOLD")
    both = " ".join(describe_methods([make_run("sub-01", n_dummy_scans=0), alone], settings))
    assert "Of 1 run without a T1w image, the BOLD reference was corrected for the bias field" in both
    assert "deepbet" in both
    only = " ".join(describe_methods([alone], settings))
    assert "itself normalised to the ICBM 2009a" in only
    assert "deepbet" not in only
    everybody = " ".join(describe_methods([alone], {**settings, "coregistration": False, "bias_field": False}))
    assert "Of every run, the BOLD reference was itself normalised" in everybody
    assert "N4" not in everybody


def test_components_and_cosines_are_told_as_they_were_found(settings: dict[str, Any]) -> None:
    chosen = {**settings, "denoise": {**settings["denoise"], "strategy": "24P+aCompCor", "high_pass": 0.008}}
    runs = [
        make_run("sub-01", degrees_of_freedom=50),
        make_run("sub-02", n_components=2, n_cosines=0, degrees_of_freedom=46),
    ]
    text = describe_methods(runs, chosen)[0]
    assert "two to five components of anatomical CompCor" in text
    assert "the cosines that were removed before these (of 1 run), all cosines up to 0.008 Hz" in text
    without = describe_methods(runs[1:], chosen)[0]
    assert "two components of anatomical CompCor (liquor and white matter together), all cosines" in without
    assert "removed before these" not in without
