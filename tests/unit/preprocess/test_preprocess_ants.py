import os
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from gradspec.preprocess.ants import PROGRAMS, ants_on_path, ants_version, write_launchers
from gradspec.preprocess.interfaces.ants import register_to_template


@pytest.fixture
def without_ants(monkeypatch: pytest.MonkeyPatch) -> None:
    folders = os.environ["PATH"].split(os.pathsep)
    monkeypatch.setenv("PATH", os.pathsep.join(f for f in folders if not (Path(f) / PROGRAMS[0]).exists()))


@pytest.mark.usefixtures("without_ants")
def test_launchers_stand_in_for_the_programs_and_go_away(tmp_path: Path) -> None:
    before = os.environ["PATH"]
    with ants_on_path(tmp_path / "a folder"):
        assert all(Path(shutil.which(program) or "").parent == tmp_path / "a folder" for program in PROGRAMS)
        said = subprocess.run(["antsRegistration", "--version"], capture_output=True, text=True, check=True)
        assert said.stdout.startswith("ANTs Version: ")
    assert os.environ["PATH"] == before


def test_programs_that_are_installed_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for program in PROGRAMS:
        (tmp_path / program).write_text("#!/bin/sh\n")
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with ants_on_path(tmp_path / "launchers"):
        assert Path(shutil.which("antsRegistration") or "").parent == tmp_path
    assert not (tmp_path / "launchers").exists()


def test_the_version_is_that_of_the_ants_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_launchers(tmp_path / "launchers")
    monkeypatch.setenv("PATH", str(tmp_path / "launchers"), prepend=os.pathsep)
    assert ants_version() == f"ANTs of antspyx {version('antspyx')}"
    (tmp_path / PROGRAMS[0]).write_text("#!/bin/sh\necho 'ANTs Version: v2.6.2-g123'\necho Compiled: now\n")
    (tmp_path / PROGRAMS[0]).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert ants_version() == "ANTs v2.6.2-g123"


def test_a_launcher_does_the_work_of_the_program(tmp_path: Path) -> None:
    write_launchers(tmp_path / "ants")
    data = np.random.default_rng(0).normal(100, 5, (12, 12, 12)).astype(np.float32)
    nib.save(nib.Nifti1Image(data, np.eye(4)), tmp_path / "in.nii")
    command = [str(tmp_path / "ants" / "antsApplyTransforms"), "-d", "3", "-i", "in.nii", "-r", "in.nii"]
    subprocess.run([*command, "-o", "out.nii", "-t", "identity"], cwd=tmp_path, check=True, capture_output=True)
    np.testing.assert_allclose(nib.load(tmp_path / "out.nii").get_fdata(), data, rtol=1e-5)


def test_a_program_on_path_registers_as_the_launcher_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for ANTs' own program, which notes that it was called."""
    data = gaussian_filter(np.random.default_rng(0).normal(size=(24, 24, 24)), 3).astype(np.float32)
    nib.save(nib.Nifti1Image(data, np.eye(4)), tmp_path / "fixed.nii")
    nib.save(nib.Nifti1Image(np.roll(data, 1, axis=0), np.eye(4)), tmp_path / "moving.nii")
    write_launchers(tmp_path / "library")
    (tmp_path / "bin").mkdir()
    stand_in = tmp_path / "bin" / "antsRegistration"
    stand_in.write_text(f'#!/bin/sh\ntouch "{tmp_path}/called"\nexec "{tmp_path}/library/antsRegistration" "$@"\n')
    stand_in.chmod(0o755)
    found = []
    for folder in ("library", "bin"):
        assert not (tmp_path / "called").exists()
        monkeypatch.setenv("PATH", str(tmp_path / folder), prepend=os.pathsep)
        register = register_to_template("affine", seed=1)
        register.inputs.fixed_image, register.inputs.moving_image = tmp_path / "fixed.nii", tmp_path / "moving.nii"
        (work := tmp_path / f"work-{folder}").mkdir()
        with h5py.File(register.run(cwd=work).outputs.composite_transform) as file:
            found.append([values[()] for values in file["TransformGroup/1"].values()])
    assert (tmp_path / "called").exists()
    assert len(found[0]) > 1
    assert all(np.array_equal(*pair) for pair in zip(*found, strict=True))


def test_a_failing_program_is_seen(tmp_path: Path) -> None:
    write_launchers(tmp_path / "ants")
    command = [str(tmp_path / "ants" / "N4BiasFieldCorrection"), "-d", "3", "-i", "missing.nii", "-o", "out.nii"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode != 0


@pytest.mark.parametrize(("threads", "warned"), [("1", False), ("2", True)])
def test_more_than_one_thread_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, threads: str, warned: bool
) -> None:
    monkeypatch.setenv("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", threads)
    with ants_on_path(tmp_path / "ants"):
        pass
    assert ("differ from run to run" in caplog.text) == warned
