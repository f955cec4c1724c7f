"""The reader gives what nibabel gives, for every kind of file, and refuses damaged ones."""

import gzip

import nibabel as nib
import numpy as np
import pytest

from gradspec.errors import ParticipantError
from gradspec.ica.volumes import masked_volumes

SHAPE = (6, 7, 8, 11)
INSIDE = np.random.default_rng(0).random(SHAPE[:3]) < 0.4


def write(path, dtype, order="<", slope=None):
    """A run of small integers, so that every type holds it."""
    data = np.random.default_rng(1).integers(0, 200, SHAPE).astype(np.float32)
    header = nib.Nifti1Header(endianness=order)
    header.set_data_dtype(np.dtype(dtype).newbyteorder(order))
    image = nib.Nifti1Image(data if slope is None else data * slope + 3, np.eye(4), header)
    if slope is not None:
        image.header.set_slope_inter(slope, 3)
    nib.save(image, path)
    return path


CASES = [
    (dtype, order, slope, suffix)
    for dtype in ("u1", "i2", "f4", "f8")
    for order in "<>"
    for slope in (None, 0.5)
    for suffix in (".nii", ".nii.gz")
]


@pytest.mark.parametrize(("dtype", "order", "slope", "suffix"), CASES)
def test_voxels_are_those_of_nibabel(dtype, order, slope, suffix, tmp_path):
    path = write(tmp_path / f"run{suffix}", dtype, order, slope)
    expected = nib.load(path).get_fdata(dtype=np.float32)[INSIDE].T
    read = masked_volumes(nib.load(path), INSIDE)
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, expected, rtol=1e-6)


def test_an_image_that_was_changed_in_memory_is_taken_as_it_is(tmp_path):
    image = nib.load(write(tmp_path / "run.nii.gz", "f4"))
    image.get_fdata(dtype=np.float32)[:] = 7
    assert (masked_volumes(image, INSIDE) == 7).all()


def test_a_file_with_a_wrong_checksum_is_refused(tmp_path):
    path = write(tmp_path / "run.nii.gz", "f4")
    raw = bytearray(path.read_bytes())
    raw[-6] ^= 1
    path.write_bytes(raw)
    with pytest.raises(ParticipantError, match=r"run\.nii\.gz: .*truncated or damaged"):
        masked_volumes(nib.load(path), INSIDE)


@pytest.mark.parametrize("kept", [0.5, 0.999])
def test_a_file_that_ends_early_is_refused(kept, tmp_path):
    whole = write(tmp_path / "run.nii.gz", "f4")
    content = gzip.decompress(whole.read_bytes())
    (tmp_path / "short.nii.gz").write_bytes(gzip.compress(content[: int(kept * len(content))]))
    with pytest.raises(ParticipantError, match=r"short\.nii\.gz: .*ends before its last volume"):
        masked_volumes(nib.load(tmp_path / "short.nii.gz"), INSIDE)
