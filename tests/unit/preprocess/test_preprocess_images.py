import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from gradspec.errors import ParticipantError
from gradspec.preprocess.images import conform_t1w, read_image, write_image


def save(path: Path, data: np.ndarray, affine: np.ndarray | None = None) -> Path:
    nib.save(nib.Nifti1Image(data, np.eye(4) if affine is None else affine), path)
    return path


def test_a_file_cut_short_is_named(tmp_path: Path) -> None:
    path = save(tmp_path / "bold.nii.gz", np.random.default_rng(0).normal(size=(20, 20, 20)))
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ParticipantError, match=r"bold.nii.gz: the image cannot be read, it may be cut short"):
        read_image(path, 3)


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bold.nii.gz"
    path.write_bytes(gzip.compress(b"hello"))
    with pytest.raises(ParticipantError, match="cannot be read"):
        read_image(path, 3)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.ones((3, 3, 3, 4)), r"expected a 3-D image, found shape \(3, 3, 3, 4\)"),
        (np.full((3, 3, 3), np.nan), "not finite"),
        (np.zeros((3, 3, 3)), r"all voxels have the same value \(0\)"),
    ],
)
def test_unusable_data_are_refused(tmp_path: Path, data: np.ndarray, message: str) -> None:
    with pytest.raises(ParticipantError, match=message):
        read_image(save(tmp_path / "t1w.nii", data), 3)


def test_a_fourth_axis_of_one_is_dropped(tmp_path: Path) -> None:
    _, data = read_image(save(tmp_path / "t1w.nii", np.arange(24.0).reshape(2, 3, 4, 1)), 3)
    assert data.shape == (2, 3, 4)


@pytest.mark.parametrize("zoom", [0.5, 2.0])
def test_the_t1w_image_stays_in_its_place(tmp_path: Path, zoom: float) -> None:
    shape = (40, 44, 36)
    lps = np.diag([-zoom, -zoom, zoom, 1.0])
    lps[:3, 3] = [10, 20, -5]
    data = np.zeros(shape, dtype=np.float32)
    data[20:26, 10:16, 15:21] = 100
    image = conform_t1w(save(tmp_path / "t1w.nii", data, lps))
    assert nib.aff2axcodes(image.affine) == ("R", "A", "S")
    np.testing.assert_allclose(image.header.get_zooms(), max(zoom, 1.0), atol=1e-6)
    found = image.affine @ [*np.mean(np.argwhere(image.get_fdata() > 50), axis=0), 1]
    expected = lps @ [*np.mean(np.argwhere(data > 50), axis=0), 1]
    np.testing.assert_allclose(found, expected, atol=zoom / 2)


def test_written_images_are_equal_byte_for_byte(tmp_path: Path) -> None:
    data = np.random.default_rng(0).normal(size=(5, 6, 7, 3)).astype(np.float32)
    for name in ("first", "second"):
        write_image(data, np.diag([3.0, 3, 3, 1]), tmp_path / name / "bold.nii.gz", repetition_time=1.5)
    first = tmp_path / "first" / "bold.nii.gz"
    assert first.read_bytes() == (tmp_path / "second" / "bold.nii.gz").read_bytes()
    image = nib.load(first)
    assert image.header.get_zooms()[3] == 1.5
    assert image.header.get_xyzt_units() == ("mm", "sec")
    assert int(image.header["sform_code"]) == 4
