"""The check of a cohort of images: what is used, what is left out, and why."""

import gzip
import json

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from checking import examine_and_check
from makers import (
    GRID,
    make_bids,
    make_config,
    make_fmriprep,
    make_ids,
    make_image,
    make_json,
    make_participants,
    save_image,
)

from gradspec.cohort.bold import examine_bold
from gradspec.cohort.participants import Participant
from gradspec.errors import ConfigError

SPACE = "space-MNI152NLin2009cAsym"
BOLD = "sub-02_task-rest_bold.nii.gz: "
T1W = "sub-02_T1w.nii.gz: "


def check(source, root, **cohort):
    section = {"root": str(root), **cohort.pop("section", {})}
    participants, runs = examine_and_check(make_config(source, **{source: section}, **cohort))
    return participants.set_index("participant_id"), runs.set_index("participant_id")


def check_raw(root, **cohort):
    return check("bids", root, **cohort)


@pytest.fixture
def raw(tmp_path):
    """Six participants, of whom two may fail."""
    return make_bids(tmp_path, 6)


@pytest.mark.parametrize("extension", [".nii", ".nii.gz"])
def test_a_sound_data_set_is_included_as_a_whole(tmp_path, extension):
    root = make_bids(tmp_path / "Übung mit Leerzeichen", 4, extension=extension)
    participants, runs = check_raw(root, covariates=["age"])
    assert list(participants["status"]) == ["included"] * 4
    assert list(participants["n_runs"]) == [1] * 4
    assert list(participants["age"]) == ["20", "21", "22", "23"]
    row = runs.loc["sub-02"]
    assert row["bold"] == str(root / f"sub-02/func/sub-02_task-rest_bold{extension}")
    assert row["t1w"] == str(root / f"sub-02/anat/sub-02_T1w{extension}")
    assert (row["task"], row["repetition_time"], row["n_volumes"]) == ("rest", 2.0, 40)


def test_slice_times_go_into_the_table_of_runs(tmp_path):
    root = make_bids(tmp_path, 4, inherited_sidecar=True)
    shared = {"RepetitionTime": 2.0, "SliceTiming": [0.0, 0.125, 0, 1.5], "SliceEncodingDirection": "k-"}
    make_json(root / "task-rest_bold.json", shared)
    make_json(root / "sub-04/func/sub-04_task-rest_bold.json", {"SliceTiming": "interleaved"})
    _, runs = check_raw(root)
    assert list(runs["slice_timing"][:3]) == ["0,0.125,0,1.5"] * 3
    assert runs.loc["sub-02", "slice_encoding_direction"] == "k-"
    assert runs.isna().loc["sub-04", "slice_timing"]


def test_sidecars_are_inherited_from_the_root(tmp_path):
    root = make_bids(tmp_path, 4, inherited_sidecar=True)
    make_json(root / "task-rest_bold.json", {"RepetitionTime": 2.5})
    with pytest.raises(ConfigError, match=r"2.5 s in the JSON sidecar, but the header says 2 s"):
        check_raw(root)


def test_sessions_and_runs_are_selected_and_use_the_t1w_image_of_their_session(tmp_path):
    root = make_bids(tmp_path, 4, sessions=("1", "2"), runs=("1", "2"), tasks=("rest", "nback"))
    _, runs = check_raw(root, section={"task": "rest"})
    assert len(runs) == 16
    for row in runs.itertuples():
        assert f"_ses-{row.session}_T1w" in row.t1w
        assert f"_ses-{row.session}_task-rest_run-{row.run}_bold" in row.bold
    _, runs = check_raw(root, section={"task": "nback", "sessions": ["2"], "runs": [1]})
    assert set(zip(runs["session"], runs["task"], runs["run"], strict=True)) == {("2", "nback", "1")}


def test_a_t1w_image_of_another_session_is_used_where_there_is_no_other(tmp_path):
    root = make_bids(tmp_path, 4, sessions=("1", "2"))
    (root / "sub-01/ses-2/anat/sub-01_ses-2_T1w.nii.gz").unlink()
    _, runs = check_raw(root)
    assert all("ses-1_T1w" in path for path in runs.loc["sub-01", "t1w"])


def bold(root, who="sub-02"):
    return root / f"{who}/func/{who}_task-rest_bold.nii.gz"


def truncate(root):
    bold(root).write_bytes(bold(root).read_bytes()[:2000])


def flatten(root):
    make_image(bold(root), GRID)


def poison(root):
    values = np.ones((*GRID, 40), np.float32)
    values[0, 0, 0, 4] = np.nan
    save_image(bold(root), values)


def forget_time(root):
    make_image(bold(root), (*GRID, 40), repetition_time=0)
    make_json(bold(root).with_name("sub-02_task-rest_bold.json"), {"TaskName": "rest"})


def mirror_sform(root):
    image = nib.load(bold(root))
    image.set_qform(image.affine, 1)
    image.set_sform(np.diag([-3.0, 3, 3, 1]), 1)
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), None, image.header), bold(root))


def contradict_time(root):
    make_json(bold(root).with_name("sub-02_task-rest_bold.json"), {"RepetitionTime": 3.0})


def another_time(root):
    make_image(bold(root), (*GRID, 40), repetition_time=3)
    contradict_time(root)


@pytest.mark.parametrize(
    ("damage", "file", "reason"),
    [
        (truncate, BOLD, "cannot be read to its end, it is truncated or damaged"),
        (flatten, BOLD, "is 3-D with shape (4, 5, 6), but 4-D is expected"),
        (poison, BOLD, "holds NaN or infinite values in volume 5 of 40; convert it again or leave the run out"),
        (lambda root: save_image(bold(root), np.zeros((*GRID, 40), np.int16)), BOLD, "holds only zeros"),
        (forget_time, BOLD, "has no repetition time"),
        (mirror_sform, BOLD, "sform and qform disagree by up to 18.0 mm, so that left and right may be exchanged"),
        (contradict_time, BOLD, "RepetitionTime is 3 s in the JSON sidecar, but the header says 2 s"),
        (another_time, BOLD, "has a repetition time of 3.0 s, but most of the cohort (5 of 6) has a repetition"),
        (
            lambda root: make_image(bold(root), (*GRID, 39)),
            "bold",
            "has 39 volumes, but cohort.min_volumes asks for 40",
        ),
        (lambda root: make_image(root / "sub-02/anat/sub-02_T1w.nii.gz", (*GRID, 3)), T1W, "but 3-D is expected"),
        (lambda root: bold(root).unlink(), "/sub-02", "no BOLD image of the task and runs that are asked for"),
    ],
)
def test_a_participant_whose_images_cannot_be_used_is_excluded_with_file_and_reason(raw, damage, file, reason):
    damage(raw)
    participants, runs = check_raw(raw)
    assert list(participants.index[participants["status"] == "excluded"]) == ["sub-02"]
    assert reason in participants.loc["sub-02", "reason"]
    assert file in participants.loc["sub-02", "reason"]
    assert "sub-02" not in runs.index


def test_a_unit_that_nifti_does_not_define_is_an_unknown_unit(raw):
    for who, code in (("sub-01", 7), ("sub-02", 2 + 40), ("sub-03", 255)):  # of space, of time, of both
        image = nib.load(bold(raw, who))
        image.header["xyzt_units"] = code
        nib.save(nib.Nifti1Image(np.asarray(image.dataobj), None, image.header), bold(raw, who))
        assert nib.load(bold(raw, who)).header["xyzt_units"] == code
    participants, runs = check_raw(raw)
    assert list(participants["status"]) == ["included"] * 6
    assert list(runs["repetition_time"]) == [2.0] * 6


def test_a_file_with_the_ending_of_nifti_that_is_another_kind_of_image_excludes_its_participant(raw):
    axes = (nib.cifti2.SeriesAxis(0, 2, 40), nib.cifti2.ScalarAxis(["a", "b"]))
    nib.save(nib.Cifti2Image(np.ones((40, 2), np.float32), axes), raw / "some.dtseries.nii")
    bold(raw).write_bytes(gzip.compress((raw / "some.dtseries.nii").read_bytes()))
    participants, _ = check_raw(raw)
    assert list(participants.index[participants["status"] == "excluded"]) == ["sub-02"]
    assert "NIfTI" in participants.loc["sub-02", "reason"] or "4-D is expected" in participants.loc["sub-02", "reason"]


@pytest.mark.parametrize(
    ("times", "left_out"),
    [
        ([1.66452, 1.66613, 1.667, 1.66754, 1.66827, 1.66989], []),  # headers of one real site
        ([2.0, 2.0, 2.0, 2.0, 2.0, 2.2], ["sub-06"]),
        ([1.656, 1.667, 1.667, 1.667, 1.667, 1.656], ["sub-01", "sub-06"]),  # two scanners of a site
        ([0.72, 0.72, 0.735, 0.72, 0.72, 0.7201], ["sub-03"]),
    ],
)
def test_repetition_times_are_compared_with_a_relative_tolerance(raw, times, left_out):
    for who, time in zip(make_ids(6), times, strict=True):
        make_image(bold(raw, who), (*GRID, 40), repetition_time=time)
        make_json(bold(raw, who).with_name(f"{who}_task-rest_bold.json"), {"TaskName": "rest"})
    participants, runs = check_raw(raw)
    assert list(participants.index[participants["status"] == "excluded"]) == left_out
    for who in left_out:
        assert f"has a repetition time of {times[int(who[-1]) - 1]} s, but most of" in participants.loc[who, "reason"]
    kept = [time for who, time in zip(make_ids(6), times, strict=True) if who not in left_out]
    assert list(runs["repetition_time"]) == pytest.approx(kept, abs=1e-6)


def test_an_sform_that_leads_elsewhere_on_purpose_is_no_fault(raw):
    image = nib.load(bold(raw))
    image.set_qform(image.affine, 1)
    image.set_sform(np.diag([-3.0, 3, 3, 1]), 4)
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), None, image.header), bold(raw))
    participants, _ = check_raw(raw)
    assert list(participants["status"]) == ["included"] * 6


def test_on_error_stop_ends_with_the_reason(raw):
    truncate(raw)
    with pytest.raises(ConfigError, match=r"(?s)1 runs cannot be used, and on_error is 'stop'.*sub-02: .*damaged"):
        examine_and_check({**make_config("bids", bids={"root": str(raw)}), "on_error": "stop"})


def test_longer_runs_are_cut_to_the_shortest(raw):
    make_bids(raw, 7)
    for who, length in {"sub-01": 45, "sub-02": 41, "sub-03": 43, "sub-04": 43, "sub-05": 43, "sub-06": 43}.items():
        make_image(bold(raw, who), (*GRID, length))
    participants, runs = check_raw(raw)
    assert (participants["status"] == "included").all()
    assert participants.loc["sub-01", "note"] == (
        "task-rest: time courses of 45 volumes are cut to the shortest of the runs that go on"
    )
    assert pd.isna(participants.loc["sub-07", "note"])
    assert runs["n_volumes"].min() == 40


def test_a_length_that_is_asked_for_leaves_out_shorter_runs_of_images(raw):
    for who, length in {"sub-01": 45, "sub-02": 60}.items():
        make_image(bold(raw, who), (*GRID, length))
    config = make_config("bids", n_volumes=45, min_volumes=30, bids={"root": str(raw)})
    with pytest.raises(ConfigError, match=r"(?s)has 40 volumes, fewer than cohort.n_volumes = 45; lower it"):
        examine_and_check(config)
    for who in ("sub-03", "sub-04"):
        make_image(bold(raw, who), (*GRID, 45))
    participants, _ = examine_and_check(config)
    assert participants.set_index("participant_id").loc["sub-02", "note"] == (
        "task-rest: cut from 60 to 45 volumes, cohort.n_volumes"
    )


def test_a_participant_keeps_the_runs_that_can_be_used(tmp_path):
    root = make_bids(tmp_path, 4, runs=("1", "2"))
    (root / "sub-01/func/sub-01_task-rest_run-2_bold.nii.gz").write_bytes(b"")
    participants, runs = check_raw(root)
    assert participants.loc["sub-01", "n_runs"] == 1
    assert "left out: " in participants.loc["sub-01", "note"]
    assert "run-2_bold.nii.gz: cannot be read" in participants.loc["sub-01", "note"]
    assert list(runs.loc[["sub-01"], "run"]) == ["1"]


def test_a_fault_that_all_runs_share_is_told_once(tmp_path):
    root = make_bids(tmp_path, 6, runs=("1", "2"))
    make_image(root / "sub-01/anat/sub-01_T1w.nii.gz", (*GRID, 3))
    participants, _ = check_raw(root)
    assert participants.loc["sub-01", "reason"].count("but 3-D is expected") == 1


def test_who_has_no_t1w_image_is_included_with_a_note(raw):
    (raw / "sub-02/anat/sub-02_T1w.nii.gz").unlink()
    participants, runs = check_raw(raw)
    assert list(participants["status"]) == ["included"] * 6
    assert participants.loc["sub-02", "note"].startswith("has no T1w image: the BOLD reference itself")
    assert list(runs.index[runs["t1w"].isna()]) == ["sub-02"]


def test_a_row_without_folder_is_excluded(raw):
    make_participants(raw / "participants.tsv", 7)
    participants, _ = check_raw(raw)
    assert "no BOLD image" in participants.loc["sub-07", "reason"]


def test_too_few_that_are_left_are_refused_with_the_reasons(tmp_path):
    root = make_bids(tmp_path, 4)
    truncate(root)
    with pytest.raises(
        ConfigError,
        match=r"(?s)1 of 4 participants cannot be used, .* \(control: 2, patient: 1\):.*sub-02: .*damaged",
    ):
        check_raw(root)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{not json", "is not valid JSON"),
        ("[]", "holds no JSON object"),
        (None, "cannot be read (No such file or directory); fetch or restore it"),
    ],
)
def test_a_broken_sidecar_excludes_its_participant(raw, content, reason):
    sidecar = raw / "sub-01/func/sub-01_task-rest_bold.json"
    sidecar.unlink()
    if content is None:
        sidecar.symlink_to("annex/objects/not-fetched")
    else:
        sidecar.write_text(content)
    participants, _ = check_raw(raw)
    assert list(participants.index[participants["status"] == "excluded"]) == ["sub-01"]
    assert f"{sidecar}: {reason}" in participants.loc["sub-01", "reason"]


def test_a_broken_sidecar_that_all_share_is_refused_with_its_name(tmp_path):
    root = make_bids(tmp_path, 4, inherited_sidecar=True)
    (root / "task-rest_bold.json").write_text("{not json")
    with pytest.raises(ConfigError, match=r"(?s)4 of 4 participants cannot be used.*task-rest_bold.json: is not valid"):
        check_raw(root)


def test_a_simulated_cohort_is_read_as_the_data_set_it_has_become(tmp_path):
    make_bids(tmp_path / "results/bids", 4)
    config = {**make_config("simulated"), "results": str(tmp_path / "results")}
    participants, runs = examine_and_check(config)
    assert list(participants["status"]) == ["included"] * 4
    assert runs["bold"].str.startswith(str(tmp_path / "results/bids")).all()


@pytest.fixture
def derived(tmp_path):
    return make_fmriprep(tmp_path, 6)


def test_sound_derivatives_are_included_as_a_whole(tmp_path):
    root = make_fmriprep(tmp_path, 4, sessions=("1", "2"), spaces=(f"{SPACE}_res-2", "space-T1w"))
    participants, runs = check("fmriprep", root, section={"sessions": [1]})
    assert list(participants["status"]) == ["included"] * 4
    row = runs.loc["sub-03"]
    folder = root / "sub-03/ses-1/func"
    assert row["bold"] == str(folder / f"sub-03_ses-1_task-rest_{SPACE}_res-2_desc-preproc_bold.nii.gz")
    assert row["mask"] == str(folder / f"sub-03_ses-1_task-rest_{SPACE}_res-2_desc-brain_mask.nii.gz")
    assert row["confounds"] == str(folder / "sub-03_ses-1_task-rest_desc-confounds_timeseries.tsv")
    assert row["t1w"] is None


@pytest.mark.parametrize(
    ("name", "damage", "reason"),
    [
        (f"{SPACE}_desc-brain_mask.nii.gz", lambda path: path.unlink(), "has no brain mask"),
        (f"{SPACE}_desc-brain_mask.nii.gz", lambda path: make_image(path, (3, 3, 3)), "the mask has shape (3, 3, 3)"),
        ("desc-confounds_timeseries.tsv", lambda path: path.write_bytes(b"\xff\xfe"), "confounds cannot be read"),
        (
            "desc-confounds_timeseries.tsv",
            lambda path: path.write_text("csf\n1\n"),
            "has 1 rows, but the series has 40",
        ),
        (f"{SPACE}_desc-preproc_bold.nii.gz", lambda path: path.unlink(), "no preprocessed BOLD image in space-MNI"),
        (f"{SPACE}_desc-preproc_bold.nii.gz", lambda path: path.write_bytes(b"x"), "cannot be read to its end"),
        (f"{SPACE}_desc-preproc_bold.json", lambda path: path.write_text("{"), "is not valid JSON"),
    ],
)
def test_a_preprocessed_run_that_is_not_complete_is_excluded(derived, name, damage, reason):
    damage(derived / f"sub-02/func/sub-02_task-rest_{name}")
    participants, _ = check("fmriprep", derived)
    assert list(participants.index[participants["status"] == "excluded"]) == ["sub-02"]
    assert reason in participants.loc["sub-02", "reason"]


def test_own_preprocessing_can_stand_in_for_fmriprep(tmp_path):
    root = make_fmriprep(tmp_path / "preprocess", 4, spaces=("space-MNI152NLin2009aSym",))
    table = (root / "participants.tsv").rename(tmp_path / "participants.tsv")
    (root / "status").mkdir()
    (root / "denoised/sub-01/func").mkdir(parents=True)
    section = {"participants": str(table), "space": "MNI152NLin2009aSym"}
    participants, runs = check("fmriprep", root, section=section)
    assert list(participants["status"]) == ["included"] * 4
    assert not runs["bold"].str.contains("denoised").any()


@pytest.mark.real_data
def test_a_real_participant_passes(test_data):
    root = test_data / "studyforrest-bids"
    cohort = make_config("bids", bids={"root": str(root), "task": "oneback"})["cohort"]
    (finding,) = examine_bold([Participant("sub-02", "control", {})], cohort)
    assert not finding.faults
    (run,) = finding.runs
    assert (run.repetition_time, run.n_volumes, run.label) == (2.0, 156, "task-oneback_run-1")
    sidecar = json.loads((root / "sub-02/func/sub-02_task-oneback_run-1_bold.json").read_text())
    assert run.repetition_time == sidecar["RepetitionTime"]


def test_ids_without_prefix_are_the_same_participants(raw):
    text = (raw / "participants.tsv").read_text().replace("sub-", "")
    (raw / "participants.tsv").write_text(text)
    assert list(check_raw(raw)[0].index) == make_ids(6)


def test_images_and_a_mask_are_enough_and_what_is_missing_is_noted(derived):
    (derived / "sub-02/func/sub-02_task-rest_desc-confounds_timeseries.tsv").unlink()
    participants, runs = check("fmriprep", derived)
    assert participants.loc["sub-02", "status"] == "included"
    assert "has no confounds beside it" in participants.loc["sub-02", "note"]
    assert pd.isna(runs.loc["sub-02", "confounds"])


def test_a_motion_file_stands_in_for_the_confounds(derived):
    func = derived / "sub-02/func"
    (func / "sub-02_task-rest_desc-confounds_timeseries.tsv").unlink()
    motion = func / "rp_asub-02_task-rest_bold.txt"
    motion.write_text("0.1 0.1 0.1 0.01 0.01 0.01\n" * 40)
    participants, runs = check("fmriprep", derived)
    assert runs.loc["sub-02", "confounds"] == str(motion)
    assert set(participants["status"]) == {"included"}
    motion.write_text("0.1 0.1 0.1 0.01 0.01 0.01\n" * 39)
    participants, _ = check("fmriprep", derived)
    assert "has 39 rows, but the series has 40 volumes" in participants.loc["sub-02", "reason"]
