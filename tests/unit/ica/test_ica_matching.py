"""Matching components with reference maps, and the labels and peaks that come of it."""

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradspec.errors import ConfigError
from gradspec.ica.labels import component_names, label_components
from gradspec.ica.matching import match_component_images, match_components, spatial_correlation


def test_correlation_is_that_of_numpy_and_zero_for_flat_maps():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((3, 100)), rng.standard_normal((2, 100))
    np.testing.assert_allclose(spatial_correlation(a, b), np.corrcoef(a, b)[:3, 3:], atol=1e-12)
    assert not spatial_correlation(np.ones((1, 100)), b).any()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_shuffled_flipped_and_scaled_maps_are_matched_back(seed):
    rng = np.random.default_rng(seed)
    reference = rng.standard_normal((5, 300))
    order, flip = rng.permutation(5), rng.choice([-1, 1], 5)
    estimated = np.empty_like(reference)
    estimated[order] = reference * flip[:, None] * rng.uniform(0.1, 9, (5, 1))
    index, sign, correlation = match_components(estimated, reference)
    np.testing.assert_array_equal(index, order)
    np.testing.assert_array_equal(sign, flip)
    np.testing.assert_allclose(correlation, 1)


def test_every_component_is_used_once_even_where_two_references_want_it():
    rng = np.random.default_rng(1)
    wanted, other = rng.standard_normal((2, 500))
    reference = np.stack([wanted + 0.5 * other, wanted])
    index, _, _ = match_components(np.stack([wanted, other]), reference)
    np.testing.assert_array_equal(index, [1, 0])


def test_references_without_a_component_say_so():
    reference = np.random.default_rng(2).standard_normal((4, 200))
    index, sign, correlation = match_components(-reference[[2]], reference)
    np.testing.assert_array_equal(index, [-1, -1, 0, -1])
    np.testing.assert_array_equal(sign, [0, 0, -1, 0])
    np.testing.assert_allclose(correlation, [0, 0, 1, 0])


@pytest.fixture
def blobs():
    """Three Gaussian blobs as functions of position (mm), and an image of them on any grid."""

    def image(step, order=(0, 1, 2)):
        n = round(60 / step) + 1
        axis = np.arange(n) * step - 30
        grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
        centres = np.array([[-15.0, 0, 0], [15, 9, 0], [0, -12, 15]])[list(order)]
        data = np.stack([np.exp(-((grid - c) ** 2).sum(axis=-1) / 200) for c in centres], axis=-1)
        affine = np.diag([step, step, step, 1.0])
        affine[:3, 3] = -30
        return nib.Nifti1Image(data.astype(np.float32), affine)

    return image


def test_images_on_different_grids_are_matched(blobs, tmp_path):
    nib.save(blobs(3.0), tmp_path / "components.nii.gz")
    nib.save(blobs(2.0, order=(2, 0, 1)), tmp_path / "reference.nii.gz")
    index, sign, correlation = match_component_images(tmp_path / "components.nii.gz", tmp_path / "reference.nii.gz")
    np.testing.assert_array_equal(index, [2, 0, 1])
    np.testing.assert_array_equal(sign, 1)
    assert correlation.min() > 0.99


def components_of(image):
    mask = nib.Nifti1Image(np.ones(image.shape[:3], dtype=np.uint8), image.affine)
    return np.asarray(image.dataobj).reshape(-1, image.shape[3]).T, mask


def test_labels_name_the_template_volume_and_peaks_lie_where_the_blobs_are(blobs):
    maps, mask = components_of(blobs(3.0))
    table = label_components(maps, mask, blobs(4.0, order=(1, 2, 0)))
    assert list(table["component"]) == ["component-01", "component-02", "component-03"]
    assert list(table["label"]) == ["template-3", "template-1", "template-2"]
    assert table["correlation"].min() > 0.98
    np.testing.assert_array_equal(table[["peak_x", "peak_y", "peak_z"]], [[-15, 0, 0], [15, 9, 0], [0, -12, 15]])


def test_without_a_template_components_keep_their_own_names(blobs):
    table = label_components(*components_of(blobs(3.0)))
    assert list(table["label"]) == list(table["component"])
    assert table["correlation"].isna().all()


def test_names_have_the_digits_they_need():
    assert component_names(2) == ["component-01", "component-02"]
    assert component_names(120)[-1] == "component-120"


def test_an_empty_template_volume_is_named(blobs, tmp_path):
    image = blobs(4.0)
    data = np.asarray(image.dataobj).copy()
    data[..., 1] = 0
    nib.save(nib.Nifti1Image(data, image.affine), tmp_path / "template.nii.gz")
    with pytest.raises(ConfigError, match=r"template\.nii\.gz: volume\(s\) 2 are empty"):
        label_components(*components_of(blobs(3.0)), tmp_path / "template.nii.gz")


def test_a_template_that_is_not_there_is_named(blobs, tmp_path):
    with pytest.raises(ConfigError, match=r"none\.nii: cannot be read as an image of reference maps"):
        label_components(*components_of(blobs(3.0)), tmp_path / "none.nii")
