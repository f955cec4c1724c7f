from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nipype.interfaces.base import CommandLine
from nipype.interfaces.utility import Function
from nipype.pipeline.engine import Node, Workflow

from gradspec.cohort.runs import BoldRun
from gradspec.config import resolve
from gradspec.errors import ParticipantError
from gradspec.files import read_json
from gradspec.preprocess.denoised import denoise_participant
from gradspec.preprocess.derivatives import bids_uri, describe_derivatives, name_functional
from gradspec.preprocess.interfaces.anatomical import ConformT1w
from gradspec.preprocess.interfaces.save import SaveDerivative
from gradspec.preprocess.pages import PAGE
from gradspec.preprocess.participant import _run, init_participant_wf, preprocess_participant

SETTINGS: dict[str, Any] = resolve({"cohort": {"source": "simulated"}, "preprocess": {"motion": "fast"}})["preprocess"]


@pytest.fixture
def run() -> BoldRun:
    return BoldRun(
        "sub-01",
        Path("/data/sub-01/ses-a/func/sub-01_ses-a_task-rest_acq-mb_run-2_bold.nii.gz"),
        t1w=Path("/data/sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz"),
        repetition_time=0.8,
        n_volumes=100,
    )


def one_node(tmp_path: Path, interface: Any) -> Workflow:
    workflow = Workflow(name="small", base_dir=str(tmp_path / "work"))
    workflow.add_nodes([Node(interface, name="only")])
    return workflow


def test_slice_times_are_said_in_the_sidecar(run: BoldRun) -> None:
    outputs = name_functional(replace(run, slice_timing=(0.0, 0.5, 1.5)), {**SETTINGS, "slice_timing": True})
    sidecar = next(output.sidecar for output in outputs if output.field == "bold_template")
    assert (sidecar["SliceTimingCorrected"], sidecar["StartTime"]) == (True, 0.75)


def test_derivatives_keep_all_entities_and_the_repetition_time(run: BoldRun) -> None:
    outputs = {output.field: output for output in name_functional(run, SETTINGS)}
    stem = "ses-a/func/sub-01_ses-a_task-rest_acq-mb_run-2"
    assert outputs["bold_template"].path == f"{stem}_space-MNI152NLin2009aSym_desc-preproc_bold.nii.gz"
    assert outputs["motion"].path == f"{stem}_from-orig_to-boldref_mode-image_desc-hmc_xfm.txt"
    sidecar = outputs["bold_template"].sidecar
    assert sidecar["RepetitionTime"] == 0.8
    assert sidecar["Sources"] == ["bids:raw:sub-01/ses-a/func/sub-01_ses-a_task-rest_acq-mb_run-2_bold.nii.gz"]


def test_a_file_is_named_from_its_participant_on_in_its_own_data_set() -> None:
    path = Path("/results/preprocess/sub-01/ses-a/func/sub-01_ses-a_bold.nii.gz")
    assert bids_uri(path, "sub-01") == "bids::sub-01/ses-a/func/sub-01_ses-a_bold.nii.gz"
    assert bids_uri(Path("/elsewhere/image.nii"), "sub-01", "raw") == "bids:raw:image.nii"


def test_the_data_set_is_described_as_derivative(tmp_path: Path) -> None:
    describe_derivatives(
        tmp_path / "d" / "dataset_description.json", tmp_path / "d" / ".bidsignore", SETTINGS, tmp_path
    )
    description = read_json(tmp_path / "d" / "dataset_description.json")
    assert description["DatasetType"] == "derivative"
    assert description["GeneratedBy"][0]["Name"] == "gradspec"
    assert "denoised" in (tmp_path / "d" / ".bidsignore").read_text().splitlines()


def test_a_participant_without_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParticipantError, match="sub-01: has no usable BOLD run"):
        init_participant_wf("sub-01", [], tmp_path, tmp_path, SETTINGS, 1)


def test_what_a_step_refuses_keeps_its_file(tmp_path: Path) -> None:
    path = tmp_path / "t1w.nii"
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4)), np.eye(4)), path)
    with pytest.raises(ParticipantError, match=f"sub-07: {path}: all voxels have the same value"):
        _run(one_node(tmp_path, ConformT1w(in_file=str(path))), "sub-07")


def test_a_program_that_fails_is_named_with_its_last_words(tmp_path: Path) -> None:
    command = CommandLine(command="sh", args="-c 'echo no overlap of the images >&2; exit 1'")
    with pytest.raises(ParticipantError, match=r"sub-07: sh failed \(no overlap of the images\)"):
        _run(one_node(tmp_path, command), "sub-07")


def test_a_fault_of_ours_is_not_blamed_on_the_data(tmp_path: Path) -> None:
    bug = Function(input_names=["x"], output_names=["y"], function="def bug(x):\n    return 1 / x\n")
    bug.inputs.x = 0
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        _run(one_node(tmp_path, bug), "sub-07")


def test_nothing_is_left_in_the_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    with pytest.raises(ParticipantError):
        preprocess_participant("sub-01", [], tmp_path / "out", SETTINGS, 1)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_images_are_packed_and_described_on_their_way(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.arange(27.0).reshape(3, 3, 3), np.eye(4)), tmp_path / "a.nii")
    target = tmp_path / "out" / "anat" / "sub-01_T1w.nii.gz"
    SaveDerivative(in_file=str(tmp_path / "a.nii"), out_file=str(target), sidecar={"Sources": ["x"]}).run()
    np.testing.assert_array_equal(nib.load(target).get_fdata(), np.arange(27.0).reshape(3, 3, 3))
    assert read_json(target.with_name("sub-01_T1w.json")) == {"Sources": ["x"]}


@pytest.mark.slow
@pytest.mark.real_data
def test_a_real_participant_lands_on_the_template(test_data: Path, tmp_path: Path) -> None:
    raw = test_data / "studyforrest-bids" / "sub-02"
    image = nib.load(raw / "func" / "sub-02_task-oneback_run-1_bold.nii.gz")
    short = tmp_path / "sub-02" / "func" / "sub-02_task-oneback_run-1_bold.nii.gz"
    short.parent.mkdir(parents=True)
    nib.save(image.slicer[..., :50], short)
    t1w = raw / "anat" / "sub-02_T1w.nii.gz"
    source = BoldRun("sub-02", short, t1w=t1w, repetition_time=2.0, n_volumes=50)
    (done,) = preprocess_participant("sub-02", [source], tmp_path / "out", SETTINGS, seed=1)
    quality = done.quality
    assert quality["normalization_overlap"] > 0.95
    assert quality["overlap"] > 0.85
    assert 0.02 < quality["mean_fd"] < 0.4
    assert quality["tsnr"] > 40
    assert len(list((tmp_path / "out" / "figures").glob("*.png"))) == 8
    page = (tmp_path / "out" / PAGE).read_text(encoding="utf-8")
    assert page.count("<img") == 8
    assert f"ANTs of antspyx {version('antspyx')}" in page or "ANTs 2" in page
    confounds = pd.read_csv(done.confounds, sep="\t", na_values="n/a")
    assert len(confounds) == 50
    (denoised,) = denoise_participant("sub-02", [done], tmp_path / "denoised", SETTINGS)
    assert denoised.quality["degrees_of_freedom"] == 50 - 1 - denoised.quality["n_confounds"]
    assert denoised.quality["tsnr"] == quality["tsnr"]
