"""Images that cannot be used are refused with their name, the participant and the remedy."""

import gzip

import numpy as np
import pytest
from makers import GRID, make_image, save_image

from gradspec.cohort.images import examine_image, settle_repetition_time
from gradspec.errors import ParticipantError

SHAPE = (*GRID, 12)


def refuse(path, n_axes=4):
    with pytest.raises(ParticipantError) as caught:
        examine_image(path, n_axes, "sub-01")
    assert str(caught.value).startswith(f"sub-01: {path}: ")
    return caught.value.reason


@pytest.mark.parametrize("extension", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", ["int16", ">i2", "uint8", "float32", ">f4", "float64"])
def test_a_sound_image_is_accepted_in_every_form(tmp_path, extension, dtype):
    path = save_image(tmp_path / f"bold{extension}", np.full(SHAPE, 7, dtype))
    facts = examine_image(path, 4, "sub-01")
    assert facts.shape == SHAPE
    assert facts.header_time == 2.0


def test_a_single_volume_may_have_a_fourth_axis_of_one(tmp_path):
    assert examine_image(make_image(tmp_path / "T1w.nii", (*GRID, 1)), 3, "sub-01").shape == GRID


@pytest.mark.parametrize("extension", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.95, 0.999])
def test_a_truncated_image_is_refused(tmp_path, extension, kept):
    path = make_image(tmp_path / f"bold{extension}", SHAPE)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    assert "cannot be read to its end" in refuse(path)


def test_a_compressed_image_whose_last_bytes_are_damaged_is_refused(tmp_path):
    path = make_image(tmp_path / "bold.nii.gz", SHAPE)
    content = bytearray(path.read_bytes())
    content[-6] ^= 0xFF  # in the checksum: every voxel can still be read
    path.write_bytes(content)
    assert "CRC check failed" in refuse(path)


def test_a_file_that_is_no_image_is_refused(tmp_path):
    path = tmp_path / "bold.nii.gz"
    path.write_bytes(gzip.compress(b"this is no image" * 100))
    assert "cannot be read to its end" in refuse(path)


def test_a_missing_image_or_dangling_link_is_refused(tmp_path):
    path = tmp_path / "bold.nii.gz"
    path.symlink_to("annex/objects/not-fetched")
    assert "datalad get" in refuse(path)


def test_the_wrong_number_of_axes_is_refused(tmp_path):
    assert "is 3-D with shape (4, 5, 6), but 4-D is expected" in refuse(make_image(tmp_path / "bold.nii", GRID))
    assert "is 4-D with shape (4, 5, 6, 12), but 3-D is expected" in refuse(make_image(tmp_path / "T1.nii", SHAPE), 3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_volumes_that_are_not_finite_are_refused_by_their_number(tmp_path, value):
    values = np.ones(SHAPE, np.float32)
    values[1, 2, 3, [2, 11]] = value
    path = save_image(tmp_path / "bold.nii.gz", values)
    assert "NaN or infinite values in volumes 3, 12 of 12" in refuse(path)


def test_an_image_of_zeros_is_refused(tmp_path):
    assert "holds only zeros" in refuse(save_image(tmp_path / "bold.nii.gz", np.zeros(SHAPE, np.int16)))


@pytest.mark.parametrize(
    ("header", "unit", "sidecar", "expected"),
    [
        (2.0, "sec", 2.0, 2.0),
        (2000.0, "msec", 2.0, 2.0),
        (2000.0, "unknown", 2.0, 2.0),
        (0.0, "sec", 2.0, 2.0),
        (0.72, "sec", None, 0.72),
        (720.0, "msec", None, 0.72),
        (2.0, "sec", 2.0005, 2.0005),
        (1.0, "unknown", 2.0, 2.0),  # nibabel's and nilearn's filler
        (1.0, "unknown", 1.0, 1.0),
        (1.0, "sec", None, 1.0),
        (1000.0, "msec", None, 1.0),
    ],
)
def test_the_repetition_time_is_in_seconds(tmp_path, header, unit, sidecar, expected):
    path = make_image(tmp_path / "bold.nii", SHAPE, repetition_time=header, unit=unit)
    metadata = {} if sidecar is None else {"RepetitionTime": sidecar}
    assert settle_repetition_time(examine_image(path, 4, "sub-01"), metadata, "sub-01") == pytest.approx(expected)


@pytest.mark.parametrize(
    ("header", "unit", "sidecar", "message"),
    [
        (0.0, "sec", None, "has no repetition time: neither RepetitionTime .* add RepetitionTime in seconds"),
        (2.0, "sec", 2.5, r"is 2.5 s in the JSON sidecar, but the header says 2 s \(pixdim\[4\], unit sec\)"),
        (2.0, "sec", 2000, "not milliseconds"),
        (2.0, "msec", 2.0, "but the header says 0.002 s"),
        (2.0, "sec", "2.0", "is '2.0'; a number of seconds is expected"),
        (2.0, "sec", 0, "is 0; a number of seconds is expected"),
        (2.0, "sec", True, "is True; a number of seconds is expected"),
        (1.0, "unknown", None, r"nor pixdim\[4\] in its header \(it is 1 without unit"),
        (1.0, "unknown", [2.0], r"is \[2.0\]; a number of seconds is expected"),
        (1.0, "sec", 2.0, "is 2 s in the JSON sidecar, but the header says 1 s"),
    ],
)
def test_a_repetition_time_that_is_missing_or_at_odds_is_refused(tmp_path, header, unit, sidecar, message):
    path = make_image(tmp_path / "bold.nii", SHAPE, repetition_time=header, unit=unit)
    facts = examine_image(path, 4, "sub-01")
    with pytest.raises(ParticipantError, match=message) as caught:
        settle_repetition_time(facts, {} if sidecar is None else {"RepetitionTime": sidecar}, "sub-01")
    assert caught.value.participant == "sub-01"
    assert caught.value.file == str(path)


@pytest.mark.parametrize("stated", [{}, {"RepetitionTime": 2.0}])
def test_volumes_at_times_of_their_own_are_refused_by_name(tmp_path, stated):
    facts = examine_image(make_image(tmp_path / "bold.nii", SHAPE), 4, "sub-01")
    metadata = {"VolumeTiming": [0.0, 10.0, 20.0], "AcquisitionDuration": 2.0, **stated}
    with pytest.raises(ParticipantError, match="has VolumeTiming in its JSON sidecar"):
        settle_repetition_time(facts, metadata, "sub-01")
