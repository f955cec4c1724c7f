from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from nilearn.interfaces.fmriprep import load_confounds
from nipype.algorithms.confounds import FramewiseDisplacement

from gradspec.errors import ParticipantError
from gradspec.files import write_table
from gradspec.preprocess.confounds import (
    MOTION_COLUMNS,
    complete_motion,
    compute_dvars,
    describe_columns,
    expand,
    framewise_displacement,
    make_confounds,
    motion_outliers,
    relative_rms,
)
from gradspec.preprocess.geometry import rigid_matrix

N_VOLUMES, N_VOXELS, REPETITION_TIME = 66, 400, 2.0


@pytest.fixture(scope="module")
def brain() -> np.ndarray:
    rng = np.random.default_rng(0)
    drift = np.linspace(0, 30, N_VOLUMES)[:, np.newaxis] * rng.normal(1, 0.3, N_VOXELS)
    return (800 + drift + rng.normal(0, 10, (N_VOLUMES, N_VOXELS))).astype(np.float32)


@pytest.fixture(scope="module")
def parameters() -> np.ndarray:
    steps = np.random.default_rng(1).normal(0, 1, (N_VOLUMES, 6)) * [0.05, 0.05, 0.05, 0.001, 0.001, 0.001]
    steps[20, 0] = 2.0
    return steps.cumsum(axis=0)


def make_table(brain: np.ndarray, parameters: np.ndarray, centre: np.ndarray, n_dummies: int = 0) -> pd.DataFrame:
    tissues = {"csf": np.arange(N_VOXELS) < 50, "white_matter": np.arange(N_VOXELS) >= 300}
    motion = np.stack([rigid_matrix(row, centre) for row in parameters])
    return make_confounds(brain, tissues, motion, centre, REPETITION_TIME, n_dummies)


def test_the_table_has_the_columns_of_fmriprep(brain: np.ndarray, parameters: np.ndarray) -> None:
    table = make_table(brain, parameters, np.array([1.0, 2.0, 3.0]))
    motion = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
    expanded = [*motion, "csf", "white_matter", "global_signal"]
    expected = {f"{name}{part}" for name in expanded for part in ("", "_derivative1", "_power2", "_derivative1_power2")}
    expected |= {"framewise_displacement", "rmsd", "dvars", "std_dvars", "cosine_00", "motion_outlier_00"}
    expected |= {f"{kind}_comp_cor_{index:02d}" for kind in "acwt" for index in range(5)}
    assert expected == set(table)
    assert len(table) == N_VOLUMES
    np.testing.assert_allclose(table[motion], parameters, atol=1e-9)
    np.testing.assert_allclose(table["csf"], brain[:, :50].mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(table["white_matter"], brain[:, 300:].mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(table["global_signal"], brain.mean(axis=1), rtol=1e-5)


def test_only_differences_lack_a_first_row(brain: np.ndarray, parameters: np.ndarray) -> None:
    table = make_table(brain, parameters, np.zeros(3))
    lacking = set(table.columns[table.iloc[0].isna()])
    derivatives = {name for name in table if "derivative1" in name}
    assert lacking == derivatives | {"framewise_displacement", "rmsd", "dvars", "std_dvars"}
    assert not table.iloc[1:].isna().any(axis=None)


def test_the_jump_is_the_only_motion_outlier(brain: np.ndarray, parameters: np.ndarray) -> None:
    table = make_table(brain, parameters, np.zeros(3))
    outliers = [name for name in table if name.startswith("motion_outlier")]
    assert outliers == ["motion_outlier_00"]
    assert np.flatnonzero(table["motion_outlier_00"]).tolist() == [20]


def test_dummy_scans_are_marked_and_have_no_say(brain: np.ndarray, parameters: np.ndarray) -> None:
    bright = brain.copy()
    bright[:3] *= np.array([[3.0], [2.0], [1.5]], dtype=np.float32)
    table, without = make_table(bright, parameters, np.zeros(3), 3), make_table(brain[3:], parameters[3:], np.zeros(3))
    marks = [name for name in table if name.startswith("non_steady_state_outlier")]
    assert [np.flatnonzero(table[name]).tolist() for name in marks] == [[0], [1], [2]]
    steady = [name for name in without if "comp_cor" in name or name.startswith(("dvars", "std_dvars", "cosine"))]
    np.testing.assert_allclose(table[steady][3:], without[steady], atol=1e-10)
    assert table["std_dvars"][:4].isna().all()
    outliers = [name for name in table if name.startswith("motion_outlier")]
    assert [np.flatnonzero(table[name]).tolist() for name in outliers] == [[20]]
    assert set(describe_columns(list(table))) == set(table)


def test_more_than_a_hundred_outliers_are_numbered_as_in_fmriprep() -> None:
    displacement = np.where(np.arange(120) % 8 == 7, 0.1, 0.9)
    names = list(motion_outliers(displacement, np.ones(120)))
    assert names[:2] == ["motion_outlier_00", "motion_outlier_01"]
    assert names[-1] == "motion_outlier_104"


@pytest.mark.parametrize(
    ("compcor", "expected"),
    [
        ("anat_combined", [f"a_comp_cor_{index:02d}" for index in range(5)]),
        ("temporal", [f"t_comp_cor_{index:02d}" for index in range(5)]),
    ],
)
def test_nilearn_loads_the_table_by_its_sidecar(
    brain: np.ndarray, parameters: np.ndarray, tmp_path: Path, compcor: str, expected: list[str]
) -> None:
    table = make_table(brain, parameters, np.zeros(3))
    stem = tmp_path / "sub-01_task-rest"
    write_table(table, f"{stem}_desc-confounds_timeseries.tsv", describe_columns(list(table)))
    image = f"{stem}_space-MNI152NLin2009aSym_desc-preproc_bold.nii.gz"
    Path(image).touch()
    strategy = ("motion", "high_pass", "compcor", "scrub")
    found, kept = load_confounds(image, strategy=strategy, motion="full", compcor=compcor, n_compcor=5, scrub=0)
    names = [*(name for name in table if name.startswith(("trans", "rot", "cosine"))), *expected]
    assert sorted(found) == sorted(names)
    assert set(range(N_VOLUMES)) - set(kept) == {20}


def test_six_motion_parameters_are_completed_where_a_table_has_no_more(parameters: np.ndarray) -> None:
    six = pd.DataFrame(parameters, columns=MOTION_COLUMNS).assign(rot_x_power2=7.0)
    found = complete_motion(six)
    assert len([name for name in found if name.startswith(("trans", "rot"))]) == 24
    assert (found["rot_x_power2"] == 7).all()
    np.testing.assert_allclose(found["framewise_displacement"], framewise_displacement(parameters))
    np.testing.assert_allclose(found["trans_y_derivative1_power2"][1:], np.diff(parameters[:, 1]) ** 2)
    assert list(complete_motion(six.drop(columns="trans_z"))) == list(six.drop(columns="trans_z"))


def test_relative_rms_is_the_mean_over_a_sphere(parameters: np.ndarray) -> None:
    centre = np.array([3.0, -20.0, 15.0])
    motion = np.stack([rigid_matrix(row, centre) for row in 20 * parameters])
    rng = np.random.default_rng(3)
    directions = rng.normal(size=(100_000, 3))
    ball = 80 * rng.random((100_000, 1)) ** (1 / 3) * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    before = centre + ball
    change = motion[21] @ np.linalg.inv(motion[20])
    after = before @ change[:3, :3].T + change[:3, 3]
    found = relative_rms(motion, centre)
    assert np.isnan(found[0])
    assert found[21] == pytest.approx(np.sqrt(((after - before) ** 2).sum(axis=1).mean()), rel=5e-3)


def test_every_column_is_described_with_units(brain: np.ndarray, parameters: np.ndarray) -> None:
    table = make_table(brain, parameters, np.zeros(3))
    descriptions = describe_columns(list(table))
    assert set(descriptions) == set(table)
    assert descriptions["rot_y"]["Units"] == "rad"
    assert descriptions["trans_x_derivative1_power2"]["Units"] == "mm^2"
    assert descriptions["framewise_displacement"]["Units"] == descriptions["rmsd"]["Units"] == "mm"
    assert "difference from the volume before; squared" in descriptions["csf_derivative1_power2"]["Description"]


def test_too_few_voxels_of_a_tissue_are_refused(brain: np.ndarray) -> None:
    tissues = {"csf": np.arange(N_VOXELS) < 2, "white_matter": np.arange(N_VOXELS) >= 300}
    with pytest.raises(ParticipantError, match="only 2 voxels of csf"):
        make_confounds(brain, tissues, np.tile(np.eye(4), (N_VOLUMES, 1, 1)), np.zeros(3), REPETITION_TIME)


def test_framewise_displacement_is_that_of_nipype(
    parameters: np.ndarray, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("fd")
    monkeypatch.chdir(folder)
    np.savetxt(folder / "motion.txt", parameters)
    FramewiseDisplacement(in_file=str(folder / "motion.txt"), parameter_source="SPM", out_file="fd.txt").run()
    found = framewise_displacement(parameters)
    assert np.isnan(found[0])
    np.testing.assert_allclose(found[1:], np.loadtxt(folder / "fd.txt", skiprows=1), atol=1e-6)


def test_derivatives_are_backward_differences() -> None:
    columns = expand(dict(zip(MOTION_COLUMNS, (np.arange(12.0).reshape(2, 6) ** 2).T, strict=True)))
    assert columns["trans_y_derivative1"][1] == 49 - 1
    assert columns["trans_y_derivative1_power2"][1] == 48**2
    assert columns["rot_z_power2"].tolist() == [25.0**2, 121.0**2]


def test_dvars_equals_the_formula_voxel_by_voxel(brain: np.ndarray) -> None:
    dvars, std_dvars = compute_dvars(brain)
    expected = []
    for voxel in brain.T.astype(float):
        lower, upper = np.sort(voxel)[[16, 48]]  # of 66 values
        centred = voxel - voxel.mean()
        lag = (centred[1:] @ centred[:-1]) / (centred @ centred)
        expected.append(np.sqrt(2 * (1 - lag)) * (upper - lower) / 1.349)
    raw = [np.sqrt(np.mean((brain[t].astype(float) - brain[t - 1]) ** 2)) for t in range(1, N_VOLUMES)]
    np.testing.assert_allclose(std_dvars[1:], np.array(raw) / np.mean(expected), rtol=1e-4)
    np.testing.assert_allclose(dvars[1:], np.array(raw) * 1000 / np.median(brain.mean(axis=0)), rtol=1e-4)
    assert np.isnan(dvars[0])
    assert np.isnan(std_dvars[0])


def test_voxels_whose_quartiles_are_equal_have_no_say_in_dvars(brain: np.ndarray) -> None:
    spiky = np.zeros((N_VOLUMES, 50), dtype=np.float32)
    spiky[::9] = 5000
    np.testing.assert_allclose(compute_dvars(np.hstack([brain, spiky]))[1], compute_dvars(brain)[1])
    dvars, std_dvars = compute_dvars(brain[:2])
    assert dvars[1] == pytest.approx(1000 / 800 * 10 * np.sqrt(2), rel=0.1)
    assert np.isnan(std_dvars).all()


def test_std_dvars_of_steady_noise_is_about_one() -> None:
    noise = 500 + np.random.default_rng(2).normal(0, 7, (200, 300)).astype(np.float32)
    assert np.nanmean(compute_dvars(noise)[1]) == pytest.approx(1, abs=0.03)
