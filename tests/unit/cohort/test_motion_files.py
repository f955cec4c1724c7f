"""Motion files of each tool come out as the same movement: their orders and units are their own."""

from pathlib import Path

import numpy as np
import pytest

from gradspec.cohort.confounds import read_confounds
from gradspec.cohort.layout import ImageFile
from gradspec.cohort.motion_files import find_motion_files
from gradspec.errors import ParticipantError

NAMES = ["trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z"]
MOTION = np.random.default_rng(0).normal(0, 1, (5, 6)) * [0.3, 0.3, 0.3, 0.01, 0.01, 0.01]  # mm and rad
DEGREES = np.rad2deg(MOTION[:, 3:])


def write(path: Path, columns: np.ndarray, form: str = "%.8f", comment: str = "") -> Path:
    with path.open("w") as stream:
        stream.write(comment)
        np.savetxt(stream, columns, fmt=form, delimiter="  ")
    return path


def make_afni(dfile: bool) -> np.ndarray:
    """Roll about the I-S axis, pitch about R-L, yaw about A-P in degrees; shifts to S, L, P in mm."""
    (x, y, z), (pitch, yaw, roll) = MOTION[:, :3].T, DEGREES.T
    six = np.column_stack([roll, pitch, yaw, z, x, y])
    return np.column_stack([np.arange(5), six, np.ones(5), np.zeros(5)]) if dfile else six


CASES = {
    "AFNI -1Dfile": ("sub-01_task-rest_motion.1D", make_afni(dfile=False)),
    "AFNI -dfile": ("sub-01_task-rest_dfile.r01.1D", make_afni(dfile=True)),
    "FSL": ("sub-01_task-rest_bold_mcf.par", np.column_stack([MOTION[:, 3:], MOTION[:, :3]])),
    "SPM": ("rp_asub-01_task-rest_bold.txt", MOTION),
    "HCP": ("sub-01_task-rest_Movement_Regressors.txt", np.column_stack([MOTION[:, :3], DEGREES, np.ones((5, 6))])),
}


@pytest.mark.parametrize(("name", "columns"), CASES.values(), ids=CASES)
def test_the_same_movement_is_read_from_the_file_of_every_tool(tmp_path: Path, name: str, columns: np.ndarray) -> None:
    found = read_confounds(write(tmp_path / name, columns))
    assert list(found) == NAMES
    np.testing.assert_allclose(found, MOTION, atol=1e-7)


def test_comments_and_commas_are_no_numbers(tmp_path: Path) -> None:
    path = write(tmp_path / "sub-01_motion.1D", make_afni(dfile=False), comment="# 3dvolreg -1Dfile\n#\n")
    path.write_text(path.read_text().replace("  ", ", "))
    np.testing.assert_allclose(read_confounds(path), MOTION, atol=1e-7)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.par", "1 2 3\n", r"has 3 columns, but FSL \(mcflirt\) writes 6"),
        ("a.1D", "1 2 3 4 5 6\n1 2 3\n", "has 3 or 6 columns, but AFNI writes 6 or 9"),
        ("rp_a.txt", "", "has no columns"),
        ("rp_a.txt", "trans_x b c d e f\n", "line 1 of the motion file holds no numbers"),
        ("rp_a.txt", "0 0 0 0 0 NaN\n", "line 1 of the motion file has a value that is not finite"),
        (
            "rp_a.txt",
            "0 0 0 0 0 1.5\n",
            "a rotation of 86 degrees is not one of a head .* of SPM, with rotations in rad",
        ),
        ("a.par", "2.5 0 0 0 0 0\n", "a rotation of 143 degrees"),  # translations first, as in a .par of the HCP
    ],
)
def test_what_no_tool_writes_is_refused(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ParticipantError, match=said) as caught:
        read_confounds(tmp_path / name)
    assert caught.value.file == str(tmp_path / name)


def test_the_motion_file_of_a_run_is_found_by_its_entities() -> None:
    bold = ImageFile.from_path("/d/sub-01/func/sub-01_task-rest_run-1_space-MNI_res-2_desc-preproc_bold.nii.gz")
    own = "/d/sub-01/func/rp_asub-01_task-rest_run-1_bold.txt"
    others = [
        "/d/sub-01/func/rp_asub-01_task-rest_run-10_bold.txt",
        "/d/sub-01/func/rp_asub-01_task-rest_bold.txt",
        "/d/sub-01/func/sub-01_task-rest_run-1_events.txt",
        "/d/sub-01/func/sub-01_task-rest_run-1_mat.aff12.1D",
        "/d/sub-01/ses-2/func/rp_sub-01_task-rest_run-1_bold.txt",
    ]
    assert find_motion_files(bold, [own, *others]) == [own]
