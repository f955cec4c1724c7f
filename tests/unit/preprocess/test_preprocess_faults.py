"""Images as the world has them: turned, mirrored, short, of somebody else; and a computer that gives out."""

import errno
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, ornt_transform
from nipype.pipeline.engine import Node, Workflow

from gradspec.cohort.runs import BoldRun
from gradspec.errors import ParticipantError
from gradspec.preprocess.confounds import make_confounds
from gradspec.preprocess.geometry import rigid_matrix
from gradspec.preprocess.interfaces.base import InFile, OneFile, Step
from gradspec.preprocess.masks import extract_brain
from gradspec.preprocess.participant import _run
from gradspec.preprocess.realignment import realign_run
from gradspec.preprocess.resampling import sample, transform_points
from gradspec.preprocess.status import Status, finish

BEFORE = Status("sub-01", [])
AFFINE = np.array([[-5.0, 0, 0, 72.5], [0, 5.0, 0, -87.5], [0, 0, 5.0, -67.5], [0, 0, 0, 1]])


def moving_head(head: Any, affine: np.ndarray = AFFINE, n_volumes: int = 3) -> np.ndarray:
    poses = [
        rigid_matrix(np.array([0.8 * t, -0.5 * t, 0.4 * t, 0.01 * t, 0, -0.02 * t]), np.zeros(3))
        for t in range(n_volumes)
    ]
    return np.stack([head(pose, affine=affine) for pose in poses], axis=3)


@pytest.mark.parametrize("codes", ["RAS", "LPI", "PSR"])
def test_motion_is_the_same_however_the_voxels_are_stored(head: Any, brain_points: np.ndarray, codes: str) -> None:
    run = moving_head(head)
    turn = ornt_transform(nib.io_orientation(AFFINE), axcodes2ornt(codes))
    turned = np.ascontiguousarray(nib.apply_orientation(run, turn))
    affine = AFFINE @ inv_ornt_aff(turn, run.shape[:3])
    _, expected = realign_run(run, AFFINE, "fast", seed=1)
    _, found = realign_run(turned, affine, "fast", seed=1)
    assert not np.allclose(affine, AFFINE)
    for one, other in zip(expected, found, strict=True):
        apart = transform_points(one, brain_points) - transform_points(other, brain_points)
        assert np.linalg.norm(apart, axis=1).max() < 0.05


def test_an_oblique_run_is_resampled_to_the_same_head(head: Any, brain_points: np.ndarray) -> None:
    oblique = rigid_matrix(np.array([2, -3, 1, 0.3, -0.2, 0.25]), np.zeros(3)) @ AFFINE
    inner = 0.7 * brain_points
    straight, tilted = (sample(head(affine=affine), affine, inner) for affine in (AFFINE, oblique))
    assert np.abs(straight - tilted).mean() < 0.02 * straight.mean()
    _, motion = realign_run(moving_head(head, oblique), oblique, "fast", seed=1)
    _, expected = realign_run(moving_head(head), AFFINE, "fast", seed=1)
    apart = transform_points(motion[2], brain_points) - transform_points(expected[2], brain_points)
    assert np.sqrt((apart**2).sum(axis=1).mean()) < 0.1


def test_a_run_of_two_volumes_goes_through(head: Any) -> None:
    run = moving_head(head, n_volumes=2)
    reference, motion = realign_run(run, AFFINE, "fast", seed=1)
    brain = run[reference > 500].T.copy()
    tissues = {"csf": np.arange(brain.shape[1]) < 50, "white_matter": np.arange(brain.shape[1]) > 500}
    table = make_confounds(brain, tissues, motion, np.zeros(3), 2.0)
    assert len(table) == 2
    assert np.isfinite(table.iloc[1][["framewise_displacement", "trans_x", "csf"]].astype(float)).all()


def test_a_t1w_image_that_is_no_adult_head_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class BrainExtraction:
        def __init__(self, no_gpu: bool) -> None:
            pass

        def run(self, image: Any) -> tuple[Any, Any, Any]:
            return None, image, None

    monkeypatch.setitem(sys.modules, "deepbet", SimpleNamespace(BrainExtraction=BrainExtraction))
    for edge, volume in ((60, 216), (150, 3375)):
        image = nib.Nifti1Image(np.ones((edge // 3,) * 3, np.uint8), np.diag([3.0, 3, 3, 1]))
        with pytest.raises(ParticipantError, match=f"has {volume} cm3, expected 500 to 2500: look at the image"):
            extract_brain(image)


class _FullDisk(Step):
    input_spec = InFile
    output_spec = OneFile

    def compute(self, folder: Path) -> dict[str, Any]:
        (folder / "half.nii").write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device", str(folder / "half.nii"))


def test_a_full_disk_ends_the_job_and_excludes_nobody(tmp_path: Path) -> None:
    (tmp_path / "t1w.nii").touch()

    def work(folder: Path) -> list[BoldRun]:
        workflow = Workflow(name="small", base_dir=str(tmp_path / "work"))
        workflow.add_nodes([Node(_FullDisk(in_file=str(tmp_path / "t1w.nii")), name="only")])
        _run(workflow, "sub-01")
        return []

    out, status = tmp_path / "results" / "sub-01", tmp_path / "results" / "sub-01.json"
    with pytest.raises(RuntimeError, match="No space left on device"):
        finish(BEFORE, "preprocess", out, status, "exclude", work)
    assert list((tmp_path / "results").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file stands where the folder should be")
    with pytest.raises(OSError, match=str(tmp_path / "results")):
        finish(BEFORE, "preprocess", tmp_path / "results" / "sub-01", tmp_path / "s.json", "exclude", lambda _: [])


def test_a_job_that_was_killed_starts_again_as_if_nothing_had_been(tmp_path: Path) -> None:
    left = tmp_path / ".partial-sub-01-abcd" / "sub-01"
    left.mkdir(parents=True)
    (left / "half.nii").write_bytes(b"half")

    def work(folder: Path) -> list[BoldRun]:
        (folder / "whole.txt").write_text("whole")
        return [BoldRun("sub-01", folder / "whole.txt")]

    finish(BEFORE, "preprocess", tmp_path / "sub-01", tmp_path / "sub-01.json", "exclude", work)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sub-01", "sub-01.json"]
    assert [path.name for path in (tmp_path / "sub-01").iterdir()] == ["whole.txt"]
