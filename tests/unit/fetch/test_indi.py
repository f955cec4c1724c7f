"""INDI's layout, as COBRE comes in, arranged as BIDS and read as a cohort."""

import nibabel as nib
import numpy as np
import pytest

from gradspec.cohort.plan import plan_cohort
from gradspec.config import resolve
from gradspec.errors import ConfigError
from gradspec.fetch.indi import arrange
from gradspec.files import read_json, read_table

PHENOTYPES = """,Current Age,Gender,Handedness,Subject Type,Diagnosis
0040000,20,Female,Right,Patient,295.3
40001,27,Male,Right,Patient,295.3
0040013,28,Male,Right,Control,None
0040014,24,Female,Left,Control,None
0040067,,Male,Right,Disenrolled,Disenrolled
0040099,33,Male,Right,Control,None
"""


@pytest.fixture
def cobre(tmp_path):
    source = tmp_path / "COBRE"
    for who in ("0040000", "0040001", "0040013", "0040014", "0040067"):
        for name in ("anat_1/mprage.nii.gz", "rest_1/rest.nii.gz"):
            path = source / who / "session_1" / name
            path.parent.mkdir(parents=True)
            nib.save(nib.Nifti1Image(np.ones((2, 2, 2), np.float32), np.eye(4)), path)
    (source / "COBRE_phenotypic_data.csv").write_text(PHENOTYPES)
    return source


def test_participants_with_both_images_become_a_bids_data_set(cobre, tmp_path, capsys):
    target = tmp_path / "bids"
    people = ["sub-0040000", "sub-0040001", "sub-0040013", "sub-0040014"]
    assert arrange(cobre, target) == people
    assert "0040067, 0040099" in capsys.readouterr().out
    table = read_table(target / "participants.tsv")
    assert list(table["group"]) == ["schizophrenia", "schizophrenia", "control", "control"]
    assert table.loc[0, ["age", "sex"]].tolist() == [20, "F"]
    link = target / "sub-0040001" / "func" / "sub-0040001_task-rest_bold.nii.gz"
    assert link.resolve() == cobre / "0040001" / "session_1" / "rest_1" / "rest.nii.gz"
    assert read_json(target / "task-rest_bold.json")["RepetitionTime"] == 2.0
    cohort = {"source": "bids", "group": {"levels": ["control", "schizophrenia"]}, "bids": {"root": str(target)}}
    plan = plan_cohort(resolve({"cohort": cohort, "training": {"folds": 2}}))
    assert plan.participants == people
    assert all(sum(file.endswith(".nii.gz") for file in files) == 2 for files in plan.files.values())
    assert arrange(cobre, target) == people  # a second time, over the first


def test_a_folder_without_table_or_images_is_refused(cobre, tmp_path):
    with pytest.raises(ConfigError, match="has 0 tables"):
        arrange(tmp_path, tmp_path / "bids")
    for image in cobre.rglob("rest.nii.gz"):
        image.unlink()
    with pytest.raises(ConfigError, match="unpack the archives there"):
        arrange(cobre, tmp_path / "bids")
