"""A participant without T1w image: the BOLD reference itself is brought to the template."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from preprocess_maker import N_VOLUMES, make_run, make_settings, read_tree

from gradspec.cohort.runs import BoldRun
from gradspec.cohort.simulate_head import draw_anatomy
from gradspec.files import read_json
from gradspec.preprocess.ants import PROGRAMS, write_launchers
from gradspec.preprocess.derivatives import describe_derivatives
from gradspec.preprocess.geometry import read_itk_transforms
from gradspec.preprocess.methods import describe_methods
from gradspec.preprocess.pages import PAGE
from gradspec.preprocess.participant import preprocess_participant
from gradspec.preprocess.resampling import template_to_t1w, transform_points
from gradspec.preprocess.template import load_template

pytestmark = pytest.mark.slow
STEM = "func/sub-01_task-rest"
SPACE = "space-MNI152NLin2009aSym"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> tuple[BoldRun, xr.Dataset]:
    return make_run(tmp_path_factory.mktemp("raw"))


@pytest.fixture(scope="module")
def done(source: tuple[BoldRun, xr.Dataset], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, BoldRun]:
    """Folder of the derivatives, and what the status file says of the run."""
    folder = tmp_path_factory.mktemp("derivatives") / "sub-01"
    (status,) = preprocess_participant("sub-01", [source[0]], folder, make_settings(), seed=1)
    return folder, status


def test_the_head_lands_where_the_truth_has_it(source: tuple[BoldRun, xr.Dataset], done: tuple[Path, BoldRun]) -> None:
    """The way from the template to the first volume and, by the truth, back."""
    folder, truth = done[0], source[1]
    brain = load_template(6.0).brain
    inside = brain.get_fdata() > 0.5
    points = template_to_t1w(
        folder / f"{STEM}_from-boldref_to-MNI152NLin2009aSym_mode-image_xfm.txt", inside, brain.affine
    )
    motion = read_itk_transforms(folder / f"{STEM}_from-orig_to-boldref_mode-image_desc-hmc_xfm.txt")[0]
    in_volume = transform_points(motion, points)
    anatomy = draw_anatomy(np.random.default_rng([7, 1]).spawn(5)[0])
    back = anatomy.to_template(transform_points(np.linalg.inv(truth["pose"].to_numpy()), in_volume))
    expected = np.argwhere(inside) @ brain.affine[:3, :3].T + brain.affine[:3, 3]
    assert np.sqrt(((back - expected) ** 2).sum(axis=1).mean()) < 3.0
    assert done[1].quality["overlap"] > 0.9


def test_it_is_said_wherever_people_look(done: tuple[Path, BoldRun]) -> None:
    folder, status = done
    assert status.normalized == "BOLD"
    assert "normalization_overlap" not in status.quality
    assert not (folder / "anat").exists()
    page = (folder / PAGE).read_text(encoding="utf-8")
    assert "No T1w image was used: the BOLD reference itself was registered to the template" in page
    assert page.count("<img") == 6
    assert "desc-epinorm_bold.png" in page
    methods = describe_methods([status], make_settings())
    assert "Of 1 run without a T1w image, the BOLD reference was corrected for the bias field" in methods[0]
    sidecar = read_json(folder / f"{STEM}_from-boldref_to-MNI152NLin2009aSym_mode-image_xfm.json")
    assert sidecar["Sources"] == ["bids:raw:sub-01/func/sub-01_task-rest_bold.nii.gz"]
    assert sidecar["Method"].startswith("SimpleITK, Mattes mutual information, affine")
    assert len(pd.read_csv(status.confounds, sep="\t")) == N_VOLUMES


def test_derivatives_without_anatomy_are_valid_bids(
    done: tuple[Path, BoldRun], source: tuple[BoldRun, xr.Dataset]
) -> None:
    root = done[0].parent
    describe_derivatives(root / "dataset_description.json", root / ".bidsignore", make_settings(), source[0].bold)
    validator = Path(sys.executable).with_name("bids-validator-deno")
    if not validator.exists():
        pytest.skip("bids-validator-deno is not installed")
    said = subprocess.run([validator, root, "--json"], capture_output=True, text=True, check=False).stdout
    issues = json.loads(said)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []


def test_programs_on_path_and_launchers_give_the_same_bytes(
    source: tuple[BoldRun, xr.Dataset],
    done: tuple[Path, BoldRun],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Stand-ins for ANTs' binaries, which note that they were called, run in place of the workflow's own launchers."""
    write_launchers(tmp_path / "library")
    (tmp_path / "bin").mkdir()
    for program in PROGRAMS:
        stand_in = tmp_path / "bin" / program
        stand_in.write_text(
            f'#!/bin/sh\necho {program} >> "{tmp_path}/called"\nexec "{tmp_path}/library/{program}" "$@"\n'
        )
        stand_in.chmod(0o755)
    version = tmp_path / "bin" / PROGRAMS[0]
    text = version.read_text().replace("exec", '[ "$1" = --version ] && echo "ANTs Version: 9.9" && exit\nexec')
    version.write_text(text)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    (status,) = preprocess_participant("sub-01", [source[0]], tmp_path / "out", make_settings(), seed=1)
    assert status.software["ANTs"] == "ANTs 9.9"
    assert "N4BiasFieldCorrection" in (tmp_path / "called").read_text().split()
    ours, theirs = (read_tree(folder) for folder in (done[0], tmp_path / "out"))
    assert "ANTs 9.9" in theirs.pop(PAGE).decode()
    ours.pop(PAGE)
    assert ours == theirs


def test_the_way_of_storing_and_the_motion_switch_change_what_they_should(
    source: tuple[BoldRun, xr.Dataset], done: tuple[Path, BoldRun], tmp_path: Path
) -> None:
    """The same run with its first axis reversed (LAS becomes RAS), and head motion switched off."""
    run = source[0]
    image = nib.load(run.bold)
    turned = tmp_path / "raw" / "sub-01" / "func" / run.bold.name
    turned.parent.mkdir(parents=True)
    nib.save(image.as_reoriented([[0, -1], [1, 1], [2, 1]]), turned)
    assert nib.aff2axcodes(nib.load(turned).affine) != nib.aff2axcodes(image.affine)
    settings = make_settings(motion="none", bias_field=False, denoise={"strategy": "none"})
    (status,) = preprocess_participant("sub-01", [replace(run, bold=turned)], tmp_path / "out", settings, seed=1)
    means = [nib.load(folder / f"{STEM}_{SPACE}_boldref.nii.gz").get_fdata() for folder in (done[0], tmp_path / "out")]
    inside = nib.load(done[1].mask).get_fdata() > 0
    assert np.corrcoef(*(mean[inside] for mean in means))[0, 1] > 0.9
    table = pd.read_csv(status.confounds, sep="\t")
    assert "trans_x" not in table
    assert {"csf", "a_comp_cor_00", "std_dvars"} <= set(table)
    assert "mean_fd" not in status.quality
    motion = read_itk_transforms(tmp_path / "out" / f"{STEM}_from-orig_to-boldref_mode-image_desc-hmc_xfm.txt")
    np.testing.assert_array_equal(motion, np.tile(np.eye(4), (N_VOLUMES, 1, 1)))
