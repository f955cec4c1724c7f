"""What the machine is to blame for is never put down to a file: nobody is excluded, and no file deleted, for it."""

import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import xarray as xr
from running import ROOT

from gradspec.advice import advise
from gradspec.errors import ParticipantError, raise_machine_fault
from gradspec.ica.images import load
from gradspec.ica.reduced import load_reduction

OUT_OF_FILES = """
import resource
from pathlib import Path
from gradspec.advice import advise
from gradspec.ica.images import load
from gradspec.ica.reduced import load_reduction
from gradspec.preprocess.images import read_image
from gradspec.spectra.file import open_spectra

readers = [lambda: load("a.nii.gz", 3), lambda: read_image(Path("a.nii.gz"), 3), lambda: load_reduction("a.npy"),
           lambda: open_spectra("a.nc")]
for read in readers[:3]:
    read()  # what is imported at first use
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
held = []
try:
    while True:
        held.append(open("/dev/null"))
except OSError:
    pass
said = []
for read in readers:
    try:
        read()
    except OSError as error:
        said.append(advise(error))
held.clear()
print(said)
assert len(said) == 4 and all("Too many files are open" in text for text in said)
"""


def test_too_many_open_files_are_not_called_a_damaged_file(tmp_path: Path) -> None:
    values = np.arange(27, dtype=np.float32).reshape(3, 3, 3)
    nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / "a.nii.gz")
    np.save(tmp_path / "a.npy", values)
    xr.Dataset({"a": ("x", [1.0])}).to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    done = subprocess.run(
        [sys.executable, "-c", OUT_OF_FILES],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "workflow")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_damaged_file_stays_the_fault_of_the_file(tmp_path: Path) -> None:
    for name in ("a.nii.gz", "a.npy"):
        (tmp_path / name).write_bytes(b"no image and no array")
    with pytest.raises(ParticipantError, match="cannot be read as an image"):
        load(tmp_path / "a.nii.gz", 3)
    with pytest.raises(ParticipantError, match="cannot be read as a reduction"):
        load_reduction(tmp_path / "a.npy")


def test_a_disk_that_does_not_answer_is_said_to_be_that() -> None:
    gone = OSError(5, "Input/output error", "bold.nii.gz")
    with pytest.raises(OSError, match="Input/output"):
        raise_machine_fault(gone)
    assert "no file is at fault" in str(advise(gone))
