"""What a workflow holds when steps are switched, and which steps cannot go together."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradspec.cohort.runs import BoldRun
from gradspec.config import resolve
from gradspec.errors import ConfigError
from gradspec.preprocess.confounds import GROUPS, MOTION_COLUMNS, describe_columns, make_confounds
from gradspec.preprocess.derivatives import name_anatomical, name_functional
from gradspec.preprocess.geometry import rigid_matrix
from gradspec.preprocess.participant import init_participant_wf
from gradspec.preprocess.steps import check_steps

RUN = BoldRun(
    "sub-01",
    Path("/data/sub-01/func/sub-01_task-rest_bold.nii.gz"),
    t1w=Path("/data/sub-01/anat/sub-01_T1w.nii.gz"),
    repetition_time=2.0,
    n_volumes=80,
)
WITHOUT_T1W = {"anatomical.extract", "anatomical.register", "bold_00.coregistration.coregister"}


def make_settings(**preprocess: Any) -> dict[str, Any]:
    settings: dict[str, Any] = resolve({"cohort": {"source": "simulated"}, "preprocess": preprocess})["preprocess"]
    return settings


def nodes_of(settings: dict[str, Any], tmp_path: Path) -> set[str]:
    return set(init_participant_wf("sub-01", [RUN], tmp_path, tmp_path, settings, 1).list_node_names())


@pytest.mark.parametrize(
    ("preprocess", "appear", "vanish"),
    [
        ({"slice_timing": True}, {"bold_00.correct_slice_timing"}, set()),
        ({"bias_field": False}, set(), {"anatomical.correct_bias"}),
        (
            {"segmentation": "atropos"},
            {"anatomical.segmentation.segment", "anatomical.segmentation.tissues_to_template", "save_anatomical_dseg"},
            set(),
        ),
        (
            {"coregistration": False},
            {"bold_00.epi_normalization.register", "bold_00.epi_normalization.correct_bias"},
            WITHOUT_T1W,
        ),
        (
            {"coregistration": False, "bias_field": False},
            {"bold_00.epi_normalization.register"},
            {*WITHOUT_T1W, "bold_00.epi_normalization.correct_bias"},
        ),
    ],
)
def test_a_switch_brings_and_takes_its_steps(
    tmp_path: Path, preprocess: dict[str, Any], appear: set[str], vanish: set[str]
) -> None:
    usual, switched = (nodes_of(make_settings(**which), tmp_path) for which in ({}, preprocess))
    assert appear <= switched - usual
    assert vanish <= usual | {"bold_00.epi_normalization.correct_bias"}
    assert not vanish & switched


@pytest.mark.parametrize(
    ("preprocess", "node", "field", "value"),
    [
        ({"motion": "none"}, "bold_00.reference.realign", "method", "none"),
        ({"dummy_scans": 0}, "bold_00.reference.realign", "dummy_scans", 0),
        ({"normalization": "affine"}, "anatomical.register", "transforms", ["Affine"]),
        ({"normalization": "precise"}, "anatomical.register", "metric", ["Mattes", "CC"]),
        ({"confounds": ["signals"]}, "bold_00.confounds.gather", "groups", ["signals"]),
        ({"motion": "none"}, "bold_00.confounds.gather", "groups", list(GROUPS[1:])),
    ],
)
def test_a_switch_reaches_its_step(
    tmp_path: Path, preprocess: dict[str, Any], node: str, field: str, value: Any
) -> None:
    workflow = init_participant_wf("sub-01", [RUN], tmp_path, tmp_path, make_settings(**preprocess), 1)
    assert getattr(workflow.get_node(node).inputs, field) == value


@pytest.mark.parametrize("preprocess", [{}, {"segmentation": "atropos"}, {"coregistration": False}])
def test_every_result_has_a_place(tmp_path: Path, preprocess: dict[str, Any]) -> None:
    settings = make_settings(**preprocess)
    has_t1w = settings["coregistration"]
    outputs = name_functional(RUN, settings, has_t1w)
    outputs += name_anatomical("sub-01", RUN.t1w, settings) if has_t1w and RUN.t1w else []
    assert len({output.path for output in outputs}) == len(outputs)
    saved = {name for name in nodes_of(settings, tmp_path) if name.startswith("save_")}
    assert len(saved) == len(outputs) + 1, "the quality numbers go to the scratch folder"
    transforms = [output for output in outputs if "_xfm" in output.path]
    assert all({"Sources"} < set(output.sidecar) for output in transforms)


@pytest.mark.parametrize(
    ("preprocess", "message"),
    [
        (
            {"segmentation": "atropos", "coregistration": False},
            "preprocess.segmentation is 'atropos', which works on the T1w image, but coregistration is false",
        ),
        ({"motion": "none"}, "denoise.strategy 'simple' .* group 'motion' out, but motion is 'none'"),
        ({"confounds": ["motion"]}, "denoise.strategy 'simple' .* 'signals' out, but confounds leaves 'signals' out"),
        (
            {"confounds": ["motion"], "denoise": {"strategy": "24P+aCompCor"}},
            "confounds leaves 'a_comp_cor' out; switch that on, or take another strategy",
        ),
        (
            {"confounds": ["motion", "signals"], "denoise": {"scrub": True}},
            "preprocess.denoise.scrub is set, but confounds leaves 'outliers' out",
        ),
        (
            {"confounds": ["motion", "signals"], "quality": {"max_outlier_share": 0.2}},
            "preprocess.quality.max_outlier_share is set, but confounds leaves 'outliers' out",
        ),
    ],
)
def test_steps_that_cannot_go_together_are_refused(preprocess: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_steps(make_settings(**preprocess))


@pytest.mark.parametrize(
    "preprocess",
    [
        {},
        {"segmentation": "atropos"},
        {"coregistration": False},
        {"motion": "none", "confounds": [], "denoise": {"strategy": "none"}},
        {"confounds": ["motion", "a_comp_cor"], "denoise": {"strategy": "24P+aCompCor"}},
    ],
)
def test_steps_that_go_together_are_accepted(preprocess: dict[str, Any]) -> None:
    check_steps(make_settings(**preprocess))


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_of_confounds_is_made_alone_and_left_out_alone(group: str) -> None:
    rng = np.random.default_rng(3)
    brain = (1000 + rng.normal(0, 5, (60, 200))).astype(np.float32)
    tissues = {"csf": np.arange(200) < 40, "white_matter": np.arange(200) > 120}
    motion = np.tile(np.eye(4), (60, 1, 1))
    motion[30] = rigid_matrix(np.array([5.0, 0, 0, 0, 0, 0]), np.zeros(3))
    everything, alone, others = (
        make_confounds(brain, tissues, motion, np.zeros(3), 2.0, 1, groups)
        for groups in (GROUPS, [group], [other for other in GROUPS if other != group])
    )
    belongs = {
        "motion": (*MOTION_COLUMNS, "framewise_displacement", "rmsd"),
        "signals": ("csf", "white_matter", "global_signal"),
        "a_comp_cor": ("a_comp_cor", "c_comp_cor", "w_comp_cor", "cosine"),
        "t_comp_cor": ("t_comp_cor", "cosine"),
        "outliers": ("motion_outlier",),
    }[group]
    made = {name for name in everything if name.startswith(belongs)}
    marks = {name for name in everything if name.startswith("motion_outlier")}
    cosines = {name for name in everything if name.startswith("cosine")}
    always = {"dvars", "std_dvars", "non_steady_state_outlier_00"}
    assert len(marks) == 2, "the head moves there and back"
    assert set(alone) == made - marks | always, "without motion, no volume of these stands out"
    kept = cosines if group.endswith("comp_cor") else set()
    assert set(others) - marks == set(everything) - made - marks | kept
    assert marks <= set(others) or group in ("motion", "outliers")
    for name in alone:
        np.testing.assert_allclose(alone[name], everything[name])
    assert set(describe_columns(list(alone))) == set(alone)
