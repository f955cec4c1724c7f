"""Reading runs and masks: what is prepared, and what is refused with which words."""

import nibabel as nib
import numpy as np
import pytest
from scipy.signal import detrend

from gradspec.errors import ConfigError, ParticipantError
from gradspec.ica.images import maps_to_image, prepare, read_maps, read_run, save_image, signal_mask
from gradspec.ica.mask import count_masks, group_mask, warn_of_cover

AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])


def mask_image(inside, affine=AFFINE):
    return nib.Nifti1Image(inside.astype(np.uint8), affine)


def box(*corner, shape=(6, 7, 8)):
    inside = np.zeros(shape, dtype=bool)
    inside[tuple(slice(1, end) for end in corner)] = True
    return inside


@pytest.fixture
def run():
    data = np.random.default_rng(0).normal(1000, 5, (6, 7, 8, 20)).astype(np.float32)
    return nib.Nifti1Image(data + np.linspace(0, 30, 20, dtype=np.float32), AFFINE)


def test_a_run_is_detrended_scaled_and_centred_in_the_order_of_the_mask(run):
    inside = box(5, 6, 7)
    signal = read_run(run, mask_image(inside))
    expected = detrend(run.get_fdata()[inside].T, axis=0)
    expected /= expected.std(axis=0)
    expected -= expected.mean(axis=1, keepdims=True)
    assert signal.dtype == np.float32
    np.testing.assert_allclose(signal, expected, atol=2e-3)


def test_a_constant_voxel_stays_zero_but_for_the_centring(run):
    run.get_fdata()  # the voxel is constant at a large value, where float32 rounds
    data = np.asarray(run.dataobj).copy()
    data[2, 2, 2] = 12345.678
    inside = box(5, 6, 7)
    signal = read_run(nib.Nifti1Image(data, AFFINE), mask_image(inside))
    column = np.flatnonzero((np.argwhere(inside) == 2).all(axis=1))[0]
    others = np.delete(signal, column, axis=1)
    np.testing.assert_allclose(signal[:, column], -others.sum(axis=1) + signal.sum(axis=1), atol=1e-3)
    assert np.abs(signal[:, column]).max() < 0.5 < np.abs(others).max()


def test_a_scaled_integer_image_reads_like_its_values(run, tmp_path):
    header = run.header.copy()
    header.set_data_dtype(np.int16)
    nib.save(nib.Nifti1Image(run.get_fdata(), AFFINE, header), tmp_path / "run.nii.gz")
    inside = mask_image(box(5, 6, 7))
    np.testing.assert_allclose(read_run(tmp_path / "run.nii.gz", inside), read_run(run, inside), atol=1e-2)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused_with_their_number_and_file(run, tmp_path, bad):
    data = np.asarray(run.dataobj).copy()
    data[2, 2, 2, 4] = data[2, 2, 3, 4] = bad
    nib.save(nib.Nifti1Image(data, AFFINE), tmp_path / "bad.nii")
    with pytest.raises(ParticipantError, match=r"bad\.nii: 2 voxels .* not finite"):
        read_run(tmp_path / "bad.nii", mask_image(box(5, 6, 7)))


def test_a_truncated_file_is_named(run, tmp_path):
    path = tmp_path / "cut.nii.gz"
    nib.save(run, path)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ParticipantError, match=r"cut\.nii\.gz: .*truncated or damaged"):
        read_run(path, mask_image(box(5, 6, 7)))


def test_a_file_that_is_no_image_is_named(tmp_path):
    (tmp_path / "text.nii.gz").write_text("hello")
    with pytest.raises(ParticipantError, match=r"text\.nii\.gz: cannot be read as an image"):
        read_run(tmp_path / "text.nii.gz", mask_image(box(5, 6, 7)))


def test_a_volume_where_a_run_is_expected_is_refused():
    with pytest.raises(ParticipantError, match=r"expected a 4-D image, found shape \(6, 7, 8\)"):
        read_run(mask_image(box(5, 6, 7)), mask_image(box(5, 6, 7)))


def test_a_run_in_which_nothing_varies_is_refused():
    flat = nib.Nifti1Image(np.full((6, 7, 8, 20), 7, dtype=np.float32), AFFINE)
    with pytest.raises(ParticipantError, match="no voxel within the group mask varies"):
        read_run(flat, mask_image(box(5, 6, 7)))


def test_two_volumes_are_too_few():
    with pytest.raises(ParticipantError, match="2 volumes cannot be detrended"):
        prepare(np.ones((2, 5), dtype=np.float32))


def test_the_group_mask_keeps_voxels_of_the_share_of_masks():
    masks = [box(5, 6, 7), box(5, 6, 7), box(5, 6, 5), box(3, 6, 7)]
    count = np.sum(masks, axis=0)
    for share, least in [(0.5, 2), (0.75, 3), (1.0, 4), (0.01, 1)]:
        kept = group_mask(*count_masks([mask_image(inside) for inside in masks]), share)
        np.testing.assert_array_equal(kept.get_fdata() > 0, count >= least)


def test_an_empty_mask_is_named(tmp_path):
    nib.save(mask_image(np.zeros((6, 7, 8))), tmp_path / "empty.nii.gz")
    with pytest.raises(ParticipantError, match=r"empty\.nii\.gz: the brain mask is empty"):
        count_masks([mask_image(box(5, 6, 7)), tmp_path / "empty.nii.gz"])


@pytest.mark.parametrize(
    "other", [mask_image(box(4, 4, 4, shape=(6, 7, 9))), mask_image(box(5, 6, 7), np.diag([3.0, 3.0, 3.5, 1.0]))]
)
def test_masks_on_other_grids_are_refused_by_name(other, tmp_path):
    nib.save(mask_image(box(5, 6, 7)), tmp_path / "first.nii.gz")
    nib.save(other, tmp_path / "second.nii.gz")
    with pytest.raises(ParticipantError, match=r"second\.nii\.gz: its voxel grid .* differs from .*first\.nii\.gz"):
        count_masks([tmp_path / "first.nii.gz", tmp_path / "second.nii.gz"])


def test_masks_that_hardly_overlap_are_refused_with_the_smallest_one_named(tmp_path):
    shape = (20, 20, 20)
    left, right = np.zeros(shape), np.zeros(shape)
    left[:11], right[10:18] = 1, 1
    nib.save(mask_image(right), tmp_path / "shifted.nii.gz")
    with pytest.raises(ConfigError, match=r"only 400 voxels .*hardly overlap.*shifted\.nii\.gz.*ica\.mask_share"):
        group_mask(*count_masks([mask_image(left), mask_image(left), tmp_path / "shifted.nii.gz"]), 1.0)


def test_a_mask_that_covers_little_of_the_group_is_logged(caplog):
    warn_of_cover(mask_image(box(5, 6, 6)), mask_image(box(5, 6, 7)))
    assert not caplog.text
    warn_of_cover(mask_image(box(3, 6, 7)), mask_image(box(5, 6, 7)))
    assert "covers only 50 % of the group mask" in caplog.text


def test_maps_survive_the_way_to_an_image_and_back(tmp_path):
    inside = box(5, 6, 7)
    maps = np.random.default_rng(1).normal(size=(3, inside.sum())).astype(np.float32)
    save_image(maps_to_image(maps, mask_image(inside)), tmp_path / "maps.nii.gz")
    np.testing.assert_array_equal(read_maps(tmp_path / "maps.nii.gz", inside), maps)
    written = nib.load(tmp_path / "maps.nii.gz")
    assert not written.get_fdata()[~inside].any()
    np.testing.assert_array_equal(written.affine, AFFINE)


def test_images_are_written_with_the_same_bytes(tmp_path):
    image = maps_to_image(np.ones((2, box(5, 6, 7).sum()), dtype=np.float32), mask_image(box(5, 6, 7)))
    save_image(image, tmp_path / "a" / "maps.nii.gz")
    save_image(image, tmp_path / "b" / "maps.nii.gz")
    assert (tmp_path / "a" / "maps.nii.gz").read_bytes() == (tmp_path / "b" / "maps.nii.gz").read_bytes()


def test_without_a_mask_the_voxels_that_vary_are_taken(run):
    data = np.where(box(5, 6, 7)[..., None], run.get_fdata(dtype=np.float32), np.float32(0))
    np.testing.assert_array_equal(signal_mask(nib.Nifti1Image(data, AFFINE)).get_fdata() > 0, box(5, 6, 7))


def test_a_tiny_mask_among_others_is_named(tmp_path):
    tiny = np.zeros((20, 20, 20))
    tiny[5, 5, 5:9] = 1
    nib.save(mask_image(tiny), tmp_path / "tiny.nii.gz")
    usual = box(15, 15, 15, shape=(20, 20, 20))
    with pytest.raises(ParticipantError, match=r"tiny\.nii\.gz: it has 4 voxels, .* no mask of a brain"):
        group_mask(*count_masks([mask_image(usual), mask_image(usual), tmp_path / "tiny.nii.gz"]), 0.5)


def test_too_few_voxels_for_a_decomposition_are_refused():
    with pytest.raises(ConfigError, match="the group mask has only 8 voxels"):
        group_mask(*count_masks([mask_image(box(3, 3, 3))] * 2), 0.9)


def test_a_mask_on_another_grid_is_resampled_where_asked(caplog):
    finer = np.zeros((12, 14, 16))
    finer[2:10, 2:12, 2:14] = 1
    other = nib.Nifti1Image(finer.astype(np.uint8), np.diag([1.5, 1.5, 1.5, 1.0]))
    kept = group_mask(*count_masks([mask_image(box(5, 6, 7)), other], resample=True), 1.0)
    assert kept.shape == (6, 7, 8)
    assert "resampled from the grid (12, 14, 16) to (6, 7, 8)" in caplog.text
    np.testing.assert_array_equal(kept.get_fdata() > 0, box(5, 6, 7))
