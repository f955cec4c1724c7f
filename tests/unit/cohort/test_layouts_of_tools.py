"""Trees of SPM, FSL, the HCP, XCP-D and HALFpipe, brought into fMRIPrep's names by the commands of the page on them.

Names follow the tools: SPM12 and FEAT of FSL 6; GenericfMRIVolumeProcessingPipeline.sh of the HCP pipelines 5 (images,
mask and motion in ``Results``); the test outputs of XCP-D 26.1 for ds001419; the README of HALFpipe 1.3.
"""

import re
import subprocess
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import yaml
from checking import examine_and_check
from makers import GRID, make_image, make_json, make_participants, save_image

from gradspec.cohort.runs import BoldRun
from gradspec.config import resolve
from gradspec.preprocess.denoised import denoise_participant

PAGE = Path(__file__).resolve().parents[3] / "docs" / "howto" / "fmriprep.md"
N_VOLUMES = 60
MOTION = np.random.default_rng(0).normal(0, 0.05, (N_VOLUMES, 12))


def read_section(tool: str) -> tuple[str, str, str]:
    """Return files, commands and config that the page shows for a tool; a config that it lacks is the one before."""
    text = PAGE.read_text(encoding="utf-8")
    before, section = re.split(rf"^### {tool}$", text, flags=re.MULTILINE)
    section = re.split("^##", section, flags=re.MULTILINE)[0]

    def last(language: str, where: str) -> str:
        return str(re.findall(rf"^```{language}\n(.*?)^```", where, re.MULTILINE | re.DOTALL)[-1])

    return last("text", section), last("bash", section), last("yaml", before + section)


def make_file(path: Path, index: int, repetition_time: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if "mask" in path.name:
        save_image(path, np.pad(np.ones([size - 2 for size in GRID], np.uint8), 1))
    elif ".nii" in path.name:
        make_image(path, (*GRID, N_VOLUMES), repetition_time=repetition_time, seed=index)
    elif path.suffix == ".json":
        make_json(path, {"RepetitionTime": repetition_time})
    else:
        np.savetxt(path, MOTION if "Movement" in path.name else 0.1 * MOTION[:, :6])


@pytest.fixture
def cohort(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    files, commands, config = read_section(request.param)
    monkeypatch.chdir(tmp_path)
    for index in range(4):
        for line in files.split():
            who = line.replace("sub-01", f"sub-0{index + 1}").replace("100307", f"0{index + 1}")
            make_file(tmp_path / who, index, 0.72 if request.param == "HCP" else 2.0)
    make_participants(tmp_path / "data" / "participants.tsv", 4)
    subprocess.run(["bash", "-euc", commands], check=True)
    resolved = resolve({**yaml.safe_load(config), "training": {"folds": 2, "models": {"mlp": {}}}})
    resolved["cohort"]["min_volumes"] = 40
    return resolved


@pytest.mark.parametrize(
    ("cohort", "motion", "n_regressed", "repetition_time"),
    [
        ("SPM", "rp_asub-03_task-rest_bold.txt", 24 + 1 + 1, 2.0),
        ("FSL", "sub-03_task-rest_mcf.par", 24 + 1 + 1, 2.0),
        ("HCP", "sub-03_task-rest_Movement_Regressors.txt", 24 + 1 + 0, 0.72),
        ("XCP-D", None, 0, 2.0),
        ("HALFpipe", None, 0, 2.0),
    ],
    indirect=["cohort"],
)
def test_the_images_of_a_tool_are_read_as_its_page_says(
    cohort: dict[str, Any], motion: str | None, n_regressed: int, repetition_time: float, tmp_path: Path
) -> None:
    participants, runs = examine_and_check(cohort)
    assert list(participants["status"]) == ["included"] * 4
    (row,) = runs[runs["participant_id"] == "sub-03"].to_dict("records")
    run = BoldRun.from_row(row)
    assert run.repetition_time == repetition_time
    assert (run.confounds and run.confounds.name) == motion
    cohort["preprocess"]["fwhm"] = 0.0
    (status,) = denoise_participant("sub-03", [run], tmp_path / "out", cohort["preprocess"])
    assert status.quality["n_confounds"] == n_regressed
    assert ("mean_fd" in status.quality) == (motion is not None)
    assert nib.load(status.bold).shape == (*GRID, N_VOLUMES)
