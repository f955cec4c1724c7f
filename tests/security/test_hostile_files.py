"""Files that were made to do harm are refused before they can: by size, by kind, by what they would have run.

None of them would harm another program: limits are tried with a few megabytes, or by making this machine small.
"""

import gzip
import os
import pickle
import struct
import tracemalloc
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import scipy.io
from makers import GRID, make_image

from gradspec.cohort.arrays import read_array
from gradspec.cohort.images import examine_image
from gradspec.errors import ParticipantError


class Harm:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


def refuse(path: Path) -> str:
    """Read the file as what its name says; return why it was refused."""
    with pytest.raises(ParticipantError) as caught:
        if ".nii" in path.suffixes:
            examine_image(path, 3, "sub-01")
        else:
            read_array(path, "sub-01", None, "cohort.timeseries.variable")
    assert str(caught.value).startswith(f"sub-01: {path}: ")
    return caught.value.reason


def claim(path: Path, shape: tuple[int, int, int], content: bytes) -> Path:
    """Write an image whose header claims a shape, whatever data follow."""
    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape(shape)
    header["magic"] = b"n+1"
    header["vox_offset"] = 352
    whole = header.binaryblock + bytes(4) + content
    path.write_bytes(gzip.compress(whole, mtime=0) if path.suffix == ".gz" else whole)
    return path


@pytest.mark.parametrize("name", ["image.nii", "image.nii.gz"])
@pytest.mark.parametrize("offset", [1e30, 1e12, -400])
def test_voxels_that_begin_outside_the_file_are_refused(tmp_path: Path, name: str, offset: float) -> None:
    sound = claim(tmp_path / "sound.nii", (2, 2, 2), bytes(16)).read_bytes()
    content = bytearray(sound)
    struct.pack_into("<f", content, 108, offset)  # vox_offset
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    assert "damaged" in refuse(path)


@pytest.fixture
def small_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the machine state that it has a million bytes of memory."""
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 1000, "SC_PHYS_PAGES": 1000}.__getitem__)


@pytest.mark.parametrize("name", ["short.nii", "short.nii.gz"])
def test_an_image_that_claims_more_than_its_file_can_hold_is_refused_unread(tmp_path: Path, name: str) -> None:
    path = claim(tmp_path / name, (300, 300, 300), bytes(1000))
    tracemalloc.start()
    reason = refuse(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "the header claims 54000000 bytes" in reason
    assert peak < 2**24


@pytest.mark.usefixtures("small_machine")
def test_an_image_larger_than_the_memory_is_refused(tmp_path: Path) -> None:
    assert "GiB of memory" in refuse(make_image(tmp_path / "image.nii", (64, 64, 64)))  # as float32 2 ** 20 bytes


def test_a_small_file_that_unfolds_beyond_its_image_is_not_read_to_the_end(tmp_path: Path) -> None:
    path = make_image(tmp_path / "bold.nii.gz", GRID)
    surplus = gzip.compress(bytes(1 << 25), mtime=0)  # 33 kB that unfold to 32 MiB
    path.write_bytes(path.read_bytes() + surplus + b"what a reader that goes to the end would call damaged")
    assert "go on beyond what the header claims" in refuse(path)


@pytest.mark.parametrize("name", ["image.nii", "array.npy"])
def test_what_is_no_file_is_not_opened(tmp_path: Path, name: str) -> None:
    """A pipe would be waited for, and a device never ends; a folder and a device that is empty are as little a file."""
    (tmp_path / name).mkdir()
    assert "is missing" in refuse(tmp_path / name)
    (tmp_path / f"link-{name}").symlink_to("/dev/null")
    assert "is missing" in refuse(tmp_path / f"link-{name}")


def test_no_pickle_is_ever_loaded(tmp_path: Path) -> None:
    harm = Harm(tmp_path / "harmed")
    np.save(tmp_path / "object.npy", np.array([harm], dtype=object), allow_pickle=True)
    (tmp_path / "pickle.npy").write_bytes(pickle.dumps(harm))
    (tmp_path / "pickle.mat").write_bytes(pickle.dumps(harm))
    np.savez(tmp_path / "archive.npz", x=np.array([harm], dtype=object))
    (tmp_path / "archive.npz").rename(tmp_path / "archive.npy")
    for name in ("object.npy", "pickle.npy", "pickle.mat", "archive.npy"):
        assert "cannot be read" in refuse(tmp_path / name)
    assert not harm.path.exists()
    pickle.loads((tmp_path / "pickle.npy").read_bytes())
    assert harm.path.exists(), "the pickle does no harm, so the test shows nothing"


def test_an_array_that_claims_more_than_its_file_holds_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": (10, 10)})
        stream.write(bytes(64))
    assert "cannot be read" in refuse(path)


@pytest.mark.usefixtures("small_machine")
def test_a_matlab_array_larger_than_the_memory_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scipy.io.savemat(tmp_path / "x.mat", {"data": np.zeros((400, 400))})
    monkeypatch.setattr(scipy.io, "loadmat", None)
    assert "GiB of memory" in refuse(tmp_path / "x.mat")


def test_other_contents_of_a_matlab_file_are_left_packed(tmp_path: Path) -> None:
    path = tmp_path / "x.mat"
    scipy.io.savemat(path, {"data": np.eye(3), "other": {"zeros": np.zeros(10**6)}})
    tracemalloc.start()
    values = read_array(path, "sub-01", None, "cohort.timeseries.variable").values
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(values, np.eye(3))
    assert peak < 2**22
