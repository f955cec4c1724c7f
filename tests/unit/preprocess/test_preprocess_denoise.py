from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nilearn.image import smooth_img

from gradspec.cohort.runs import BoldRun
from gradspec.errors import ParticipantError
from gradspec.files import read_json, write_json
from gradspec.preprocess.compcor import cosine_basis
from gradspec.preprocess.confounds import MOTION_COLUMNS, expand
from gradspec.preprocess.denoise import make_design, regress_out, scale_to_grand_mean
from gradspec.preprocess.denoised import denoise_participant, smooth_inside
from gradspec.preprocess.regressors import select_confounds

N_VOLUMES = 80
SIMPLE = {"strategy": "simple", "scrub": False, "linear_trend": True, "high_pass": 0.008, "min_degrees_of_freedom": 20}

COUNTS = {"degrees_of_freedom", "n_confounds", "n_components", "n_cosines", "n_own_cosines"}
SETTINGS: dict[str, Any] = {"fwhm": 4.0, "intensity": "grand_mean", "denoise": SIMPLE}


def make_table(n_volumes: int = N_VOLUMES) -> pd.DataFrame:
    rng = np.random.default_rng(4)
    columns: dict[str, Any] = expand(dict(zip(MOTION_COLUMNS, rng.normal(0, 0.1, (6, n_volumes)), strict=True)))
    columns |= {"csf": rng.normal(900, 5, n_volumes), "white_matter": rng.normal(700, 5, n_volumes)}
    columns |= {f"a_comp_cor_{index:02d}": rng.normal(size=n_volumes) for index in range(6)}
    columns |= {f"cosine_{index:02d}": column for index, column in enumerate(cosine_basis(n_volumes, 2.0, 1 / 128).T)}
    columns |= {"motion_outlier_00": (np.arange(n_volumes) == 7).astype(int)}
    return pd.DataFrame(columns)


def make_signals(n_volumes: int = N_VOLUMES, n_voxels: int = 30) -> np.ndarray:
    return 1000 + np.random.default_rng(9).normal(0, 10, (n_volumes, n_voxels))


@pytest.mark.parametrize("strategy", ["none", "simple", "24P+aCompCor"])
@pytest.mark.parametrize("scrub", [False, True])
@pytest.mark.parametrize("high_pass", [None, 0.01])
def test_residuals_are_those_of_least_squares_voxel_by_voxel(
    strategy: str, scrub: bool, high_pass: float | None
) -> None:
    chosen = {**SIMPLE, "strategy": strategy, "scrub": scrub, "high_pass": high_pass}
    made = make_design(make_table(), chosen, N_VOLUMES, 2.0)
    design, names = made.matrix, made.names
    signals = make_signals()
    whole = np.column_stack([np.ones(N_VOLUMES), design])
    expected = np.empty_like(signals)
    for voxel, values in enumerate(signals.T):
        coefficients = np.linalg.lstsq(whole, values, rcond=None)[0]
        expected[:, voxel] = values - whole @ coefficients + values.mean()
    found, degrees_of_freedom = regress_out(signals.copy(), design, 1)
    np.testing.assert_allclose(found, expected, atol=1e-8)
    assert degrees_of_freedom == N_VOLUMES - np.linalg.matrix_rank(whole)
    assert len(names) == design.shape[1]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_what_is_left_is_orthogonal_to_the_design_and_keeps_the_mean(seed: int, n_regressors: int) -> None:
    rng = np.random.default_rng(seed)
    design, signals = rng.normal(2, 3, (40, n_regressors)), rng.normal(100, 5, (40, 7))
    found, _ = regress_out(signals.copy(), design, 1)
    np.testing.assert_allclose(found.mean(axis=0), signals.mean(axis=0))
    np.testing.assert_allclose((design - design.mean(axis=0)).T @ found, 0, atol=1e-8)


def test_repeated_and_constant_regressors_cost_nothing() -> None:
    column = np.random.default_rng(0).normal(size=(50, 1))
    design = np.hstack([column, 2 * column, np.ones((50, 1))])
    assert regress_out(make_signals(50), design, 1)[1] == 48


def test_too_few_degrees_of_freedom_say_the_numbers() -> None:
    design = np.random.default_rng(0).normal(size=(40, 25))
    with pytest.raises(ParticipantError, match=r"14 degrees of freedom \(40 volumes minus 26 .* fewer than the 20"):
        regress_out(make_signals(40), design, 20)


def test_strategies_take_their_columns() -> None:
    table = make_table()
    assert len(select_confounds(table, "simple", scrub=False)) == 8
    assert select_confounds(table, "6P", scrub=False) == list(MOTION_COLUMNS)
    assert len(select_confounds(table, "24P", scrub=False)) == 24
    large = make_design(table, {**SIMPLE, "strategy": "24P+aCompCor", "scrub": True}, N_VOLUMES, 2.0).names
    assert sum(name.startswith(("trans", "rot")) for name in large) == 24
    assert [name for name in large if name.startswith("a_comp")] == [f"a_comp_cor_{index:02d}" for index in range(5)]
    assert {"cosine_00", "cosine_01", "motion_outlier_00"} <= set(large)
    assert "a_comp_cor_05" not in large


def test_dummy_scans_have_no_say_in_any_strategy_but_none() -> None:
    table = make_table().assign(non_steady_state_outlier_00=(np.arange(N_VOLUMES) == 0).astype(int))
    assert "non_steady_state_outlier_00" not in select_confounds(table, "none", scrub=True)
    for strategy in ("simple", "24P+aCompCor"):
        assert "non_steady_state_outlier_00" in select_confounds(table, strategy, scrub=False)


def test_compcor_brings_the_cosines_of_the_table_instead_of_others() -> None:
    names = make_design(make_table(), {**SIMPLE, "strategy": "24P+aCompCor"}, N_VOLUMES, 2.0).names
    assert "cosine_00" in names
    assert not any(name.startswith("high_pass") for name in names)
    names = make_design(make_table(), SIMPLE, N_VOLUMES, 2.0).names
    assert "high_pass_00" in names
    assert "cosine_00" not in names


def test_missing_columns_are_named() -> None:
    with pytest.raises(ParticipantError, match="lacks rot_x, csf"):
        select_confounds(make_table().drop(columns=["csf", "rot_x"]), "simple", scrub=False)


def test_a_table_of_another_length_is_refused() -> None:
    with pytest.raises(ParticipantError, match="has 80 rows, but the run has 70 volumes"):
        make_design(make_table(), SIMPLE, 70, 2.0)


def test_the_strategy_none_needs_no_table() -> None:
    design = make_design(None, {**SIMPLE, "strategy": "none", "high_pass": None}, N_VOLUMES, 2.0)
    assert design.names == ["linear_trend"]
    assert design.high_pass_basis is None


def test_scaling_makes_changes_percent_of_the_grand_mean() -> None:
    scaled = scale_to_grand_mean(make_signals() * 7)
    assert np.median(scaled.mean(axis=0)) == pytest.approx(100)
    with pytest.raises(ParticipantError, match="mean was removed"):
        scale_to_grand_mean(make_signals() - 2000)


def test_smoothing_is_that_of_nilearn_on_the_whole_run() -> None:
    bold = np.random.default_rng(3).normal(100, 10, (9, 10, 8, 3)).astype(np.float32)
    affine = np.diag([3.0, 3, 3, 1])
    mask = bold[..., 0] > 100
    expected = smooth_img(nib.Nifti1Image(bold, affine), 6.0).get_fdata()[mask].T
    np.testing.assert_allclose(smooth_inside(bold, mask, affine, 6.0), expected, rtol=1e-5)
    np.testing.assert_array_equal(smooth_inside(bold, mask, affine, 0.0), bold[mask].T)


@pytest.fixture
def run(tmp_path: Path) -> BoldRun:
    rng = np.random.default_rng(8)
    affine = np.diag([3.0, 3, 3, 1])
    mask = np.zeros((6, 6, 6), dtype=np.uint8)
    mask[1:5, 1:5, 1:5] = 1
    bold = (1000 + rng.normal(0, 10, (6, 6, 6, N_VOLUMES))).astype(np.float32)
    stem = str(tmp_path / "sub-01_task-rest_space-MNI152NLin2009cAsym_res-2")
    nib.save(nib.Nifti1Image(bold, affine), f"{stem}_desc-preproc_bold.nii.gz")
    nib.save(nib.Nifti1Image(mask, affine), f"{stem}_desc-brain_mask.nii.gz")
    confounds = tmp_path / "sub-01_task-rest_desc-confounds_timeseries.tsv"
    make_table().to_csv(confounds, sep="\t", index=False, na_rep="n/a")
    return BoldRun(
        "sub-01",
        Path(f"{stem}_desc-preproc_bold.nii.gz"),
        mask=Path(f"{stem}_desc-brain_mask.nii.gz"),
        confounds=confounds,
        repetition_time=2.0,
        n_volumes=N_VOLUMES,
    )


def test_a_run_of_fmriprep_is_denoised_and_described(run: BoldRun, tmp_path: Path) -> None:
    (status,) = denoise_participant("sub-01", [run], tmp_path / "out", SETTINGS)
    stem = tmp_path / "out/func/sub-01_task-rest_space-MNI152NLin2009cAsym_res-2"
    assert str(status.bold) == f"{stem}_desc-denoised_bold.nii.gz"
    assert str(status.mask) == f"{stem}_desc-brain_mask.nii.gz"
    assert status.quality["degrees_of_freedom"] == N_VOLUMES - 1 - status.quality["n_confounds"]
    image = nib.load(status.bold)
    mask = nib.load(status.mask).get_fdata() > 0
    data = image.get_fdata()
    assert image.header.get_zooms()[3] == 2
    assert (data[~mask] == 0).all()
    assert np.median(data[mask].mean(axis=1)) == pytest.approx(100, rel=1e-4)
    noise = data[mask] - data[mask].mean(axis=1, keepdims=True)
    confounds = make_table()[["csf", "trans_x"]].to_numpy()
    assert np.abs(np.corrcoef(noise.mean(axis=0), confounds.T)[0, 1:]).max() < 1e-3
    sidecar = read_json((status.bold).with_suffix("").with_suffix(".json"))
    assert sidecar["RepetitionTime"] == 2.0
    assert sidecar["DegreesOfFreedom"] == status.quality["degrees_of_freedom"]
    assert "csf" in sidecar["Regressors"]


def test_a_template_with_a_cohort_keeps_its_entities(run: BoldRun, tmp_path: Path) -> None:
    names = {"bold": "desc-preproc_bold.nii.gz", "mask": "desc-brain_mask.nii.gz"}
    stem = tmp_path / "sub-01_task-rest_space-MNIPediatricAsym_cohort-3_res-2"
    moved = {key: getattr(run, key).rename(f"{stem}_{name}") for key, name in names.items()}
    (done,) = denoise_participant("sub-01", [replace(run, **moved)], tmp_path / "out", SETTINGS)
    assert done.bold.name == f"{stem.name}_desc-denoised_bold.nii.gz"
    assert (done.name, done.label) == ("sub-01_task-rest", "task-rest")


def test_the_quality_of_derivatives_made_elsewhere_is_measured(run: BoldRun, tmp_path: Path) -> None:
    known = replace(run, quality={"tsnr": 7.0})
    (known,) = denoise_participant("sub-01", [known], tmp_path / "known", SETTINGS)
    assert (set(known.quality), known.quality["tsnr"]) == ({"tsnr", *COUNTS}, 7.0)
    (status,) = denoise_participant("sub-01", [run], tmp_path / "given", SETTINGS)
    mask = nib.load(run.mask).get_fdata() > 0
    bold = nib.load(run.bold).get_fdata()[mask].T
    time = np.linspace(-1, 1, len(bold))
    slope = (time @ (bold - bold.mean(axis=0))) / (time @ time)
    noise = (bold - bold.mean(axis=0) - np.outer(time, slope)).std(axis=0)
    assert status.quality["tsnr"] == pytest.approx(np.median(bold.mean(axis=0) / noise), rel=1e-3)
    assert status.quality["n_motion_outliers"] == 1


def test_the_same_run_gives_the_same_bytes(run: BoldRun, tmp_path: Path) -> None:
    written = []
    for folder in (tmp_path / "first", tmp_path / "second"):
        (status,) = denoise_participant("sub-01", [run], folder, SETTINGS)
        written.append((status.bold).read_bytes())
    assert written[0] == written[1]


def test_missing_columns_name_participant_and_table(run: BoldRun, tmp_path: Path) -> None:
    assert run.confounds is not None
    make_table().drop(columns="csf").to_csv(run.confounds, sep="\t", index=False, na_rep="n/a")
    with pytest.raises(ParticipantError, match=r"sub-01: .*desc-confounds_timeseries.tsv: .*lacks csf"):
        denoise_participant("sub-01", [run], tmp_path / "out", {**SETTINGS, "fwhm": 0.0})


def test_a_mask_on_another_grid_is_refused(run: BoldRun, tmp_path: Path) -> None:
    assert run.mask is not None
    nib.save(nib.Nifti1Image(np.eye(5, dtype=np.uint8)[:, :, np.newaxis], np.eye(4)), run.mask)
    with pytest.raises(ParticipantError, match="must share one grid"):
        denoise_participant("sub-01", [run], tmp_path / "out", {**SETTINGS, "fwhm": 0.0})


def test_where_everything_is_switched_off_the_run_stays_as_it_is(run: BoldRun, tmp_path: Path) -> None:
    off = {**SIMPLE, "strategy": "none", "linear_trend": False, "high_pass": None}
    settings = {"fwhm": 0.0, "intensity": "none", "denoise": off}
    (status,) = denoise_participant("sub-01", [run], tmp_path / "out", settings)
    mask = nib.load(run.mask).get_fdata() > 0
    found, expected = (nib.load(path).get_fdata()[mask] for path in (status.bold, run.bold))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    counts = {name: status.quality[name] for name in COUNTS}
    assert counts == {**dict.fromkeys(COUNTS, 0), "degrees_of_freedom": N_VOLUMES - 1}
    sidecar = read_json(status.bold.with_suffix("").with_suffix(".json"))
    assert (sidecar["Units"], sidecar["Regressors"], sidecar["LinearTrendRemoved"]) == ("arbitrary", [], False)


def read_sidecar(run: BoldRun) -> dict[str, Any]:
    sidecar: dict[str, Any] = read_json(run.bold.with_suffix("").with_suffix(".json"))
    return sidecar


def test_what_is_written_of_the_high_pass_is_what_was_done(run: BoldRun, tmp_path: Path) -> None:
    assert run.confounds is not None
    settings = {**SETTINGS, "fwhm": 0.0, "denoise": {**SIMPLE, "strategy": "24P+aCompCor", "min_degrees_of_freedom": 1}}
    make_table().drop(columns=["cosine_00", "cosine_01"]).to_csv(run.confounds, sep="\t", index=False, na_rep="NA")
    (status,) = denoise_participant("sub-01", [run], tmp_path / "out", settings)
    sidecar = read_sidecar(status)
    assert sidecar["HighPassBasis"] == "discrete cosines: 2 made for the run"
    assert {"high_pass_00", "high_pass_01"} <= set(sidecar["Regressors"])
    assert "no cosines: all up to 0.008 Hz are made for the run" in "; ".join(sidecar["Notes"])
    assert status.note == "; ".join(sidecar["Notes"])
    data = nib.load(status.bold).get_fdata()[2:4, 2:4, 2:4].reshape(-1, N_VOLUMES)
    slow = cosine_basis(N_VOLUMES, 2.0, 0.008)
    assert np.abs((data - data.mean(axis=1, keepdims=True)) @ slow).max() < 1e-3


def test_components_are_chosen_by_the_sidecar_of_the_table(run: BoldRun, tmp_path: Path) -> None:
    assert run.confounds is not None
    settings = {**SETTINGS, "fwhm": 0.0, "denoise": {**SIMPLE, "strategy": "24P+aCompCor", "min_degrees_of_freedom": 1}}
    masks = ("CSF", "CSF", "WM", "WM", "combined", "combined")
    sidecar = {f"a_comp_cor_{index:02d}": {"Mask": mask} for index, mask in enumerate(masks)}
    write_json(sidecar, run.confounds.with_suffix(".json"))
    (status,) = denoise_participant("sub-01", [run], tmp_path / "out", settings)
    taken = [name for name in read_sidecar(status)["Regressors"] if name.startswith("a_comp")]
    assert taken == ["a_comp_cor_04", "a_comp_cor_05"]
    assert status.note == "2 components of aCompCor instead of 5, since the table has no more"
    run.confounds.with_suffix(".json").write_text("{")
    with pytest.raises(ParticipantError, match=r"sub-01: .*_timeseries.json: is not valid JSON"):
        denoise_participant("sub-01", [run], tmp_path / "again", settings)


def test_a_motion_file_is_enough_for_motion_and_displacement(run: BoldRun, tmp_path: Path) -> None:
    motion = np.random.default_rng(5).normal(0, [0.1, 0.1, 0.1, 0.001, 0.001, 0.001], (N_VOLUMES, 6))
    np.savetxt(tmp_path / "rp_sub-01_task-rest_bold.txt", motion)
    spm = replace(run, confounds=tmp_path / "rp_sub-01_task-rest_bold.txt")
    settings = {**SETTINGS, "fwhm": 0.0, "denoise": {**SIMPLE, "strategy": "24P"}}
    (status,) = denoise_participant("sub-01", [spm], tmp_path / "out", settings)
    change = np.abs(np.diff(motion, axis=0)) * [1, 1, 1, 50, 50, 50]
    assert status.quality["mean_fd"] == pytest.approx(change.sum(axis=1).mean(), rel=1e-4)
    assert "rot_z_derivative1_power2" in read_sidecar(status)["Regressors"]
    with pytest.raises(ParticipantError, match=r"rp_sub-01_task-rest_bold.txt: .*lacks csf, white_matter"):
        denoise_participant("sub-01", [spm], tmp_path / "again", SETTINGS)


def test_without_confounds_only_what_needs_none_is_done(run: BoldRun, tmp_path: Path) -> None:
    bare = replace(run, confounds=None)
    settings = {**SETTINGS, "fwhm": 0.0, "denoise": {**SIMPLE, "strategy": "none"}}
    (status,) = denoise_participant("sub-01", [bare], tmp_path / "out", settings)
    assert set(status.quality) == {"tsnr", *COUNTS}
    with pytest.raises(ParticipantError, match="has no confounds beside it, which 'simple' needs"):
        denoise_participant("sub-01", [bare], tmp_path / "again", SETTINGS)


@pytest.mark.parametrize("missing", ["", "NA", "NaN"])
def test_a_table_that_was_saved_again_gives_the_same_image(run: BoldRun, tmp_path: Path, missing: str) -> None:
    assert run.confounds is not None
    settings = {**SETTINGS, "fwhm": 0.0, "denoise": {**SIMPLE, "strategy": "24P"}}
    (first,) = denoise_participant("sub-01", [run], tmp_path / "first", settings)
    make_table().to_csv(run.confounds, sep="\t", na_rep=missing)
    (again,) = denoise_participant("sub-01", [run], tmp_path / "again", settings)
    assert first.bold.read_bytes() == again.bold.read_bytes()


def test_displacement_that_is_missing_in_the_middle_is_no_quality(run: BoldRun, tmp_path: Path) -> None:
    assert run.confounds is not None
    displacement = np.full(N_VOLUMES, 0.1)
    displacement[[0, *range(40, N_VOLUMES)]] = np.nan
    table = make_table().assign(framewise_displacement=displacement)
    table.to_csv(run.confounds, sep="\t", index=False, na_rep="n/a")
    with pytest.raises(
        ParticipantError, match="framewise_displacement of the confounds is missing in rows 41 to 80 of"
    ):
        denoise_participant("sub-01", [run], tmp_path / "out", SETTINGS)
