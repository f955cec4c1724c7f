"""A template of other people: its file, its grid, its volumes, and that nothing leaks through it."""

import hashlib

import nibabel as nib
import numpy as np
import pytest

from gradspec.errors import ConfigError
from gradspec.ica.images import maps_to_image
from gradspec.ica.labels import LABELS_COLUMNS, STABILITY_COLUMNS, label_template, read_names, unestimated_table
from gradspec.ica.template import fit_template
from gradspec.ica.template_file import require_template


@pytest.fixture
def template(group):
    """Return true maps of other people as an image, and the grid of the cohort."""
    mask = group.mask_images()[0]
    return maps_to_image(group.maps.astype(np.float32), mask), mask


def settings(path="", sha256="", names=""):
    return {"path": str(path), "sha256": sha256, "names": str(names), "resample": True}


def test_maps_are_z_scored_within_the_voxels_that_any_of_them_fills(group, template):
    image, grid = template
    maps, mask = fit_template(image, grid, resample=False)
    inside = mask.get_fdata() > 0
    np.testing.assert_array_equal(inside, group.mask)
    values = maps.get_fdata()[inside].T
    np.testing.assert_allclose(values.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(values.std(axis=1), 1, atol=1e-5)
    for value, true in zip(values, group.maps, strict=True):
        assert np.corrcoef(value, true)[0, 1] > 0.99999
    assert not maps.get_fdata()[~inside].any()


def test_another_grid_is_interpolated_and_said_or_refused(template, caplog):
    image, grid = template
    affine = image.affine.copy()
    affine[:3, :3] /= 2
    fine = nib.Nifti1Image(image.get_fdata().repeat(2, 0).repeat(2, 1).repeat(2, 2).astype(np.float32), affine)
    with caplog.at_level("INFO"):
        maps, mask = fit_template(fine, grid, resample=True)
    assert "(32, 32, 32) of 2 × 2 × 2 mm, the images (16, 16, 16) of 4 × 4 × 4 mm: it is interpolated" in caplog.text
    own = fit_template(image, grid, resample=False)[0].get_fdata()
    both = (mask.get_fdata() > 0) & (own != 0).any(axis=3)
    for k in range(8):
        assert np.corrcoef(maps.get_fdata()[both][:, k], own[both][:, k])[0, 1] > 0.9
    with pytest.raises(
        ConfigError, match=r"the images \(16, 16, 16\) .*resample the template, .*ica\.template\.resample"
    ):
        fit_template(fine, grid, resample=False)


def test_empty_constant_and_double_volumes_are_named(template):
    image, grid = template
    data = image.get_fdata(dtype=np.float32)
    for change, message in (
        (np.zeros_like(data[..., 0]), r"volume\(s\) 3 are empty \(or constant\)"),
        (np.full_like(data[..., 0], np.nan), r"volume\(s\) 3 are empty"),
        (2 * data[..., 5], "volumes depend on each other .3 and 6 are alike.; remove double ones"),
    ):
        broken = data.copy()
        broken[..., 2] = change
        with pytest.raises(ConfigError, match=message):
            fit_template(nib.Nifti1Image(broken, image.affine), grid, resample=False)


def test_a_template_in_another_space_is_empty_on_the_grid(template):
    image, grid = template
    far = image.affine.copy()
    far[:3, 3] += 500
    with pytest.raises(
        ConfigError, match=r"volume\(s\) 1, 2, 3, 4, 5, 6, 7, 8 are empty .*is the image in the same space"
    ):
        fit_template(nib.Nifti1Image(image.get_fdata(), far), grid, resample=True)


def test_single_voxels_that_are_not_finite_count_as_zero(template):
    image, grid = template
    data = image.get_fdata(dtype=np.float32)
    data[8, 8, 8, 1] = np.nan
    data[8, 8, 9, 1] = np.inf
    assert np.isfinite(fit_template(nib.Nifti1Image(data, image.affine), grid, resample=False)[0].get_fdata()).all()


def test_a_3d_image_and_a_file_that_is_none_are_refused(template, tmp_path):
    image, grid = template
    with pytest.raises(ConfigError, match="must be a 4-D image"):
        fit_template(image.slicer[..., 0], grid, resample=True)
    (tmp_path / "template.nii.gz").write_bytes(b"no image")
    with pytest.raises(ConfigError, match=r"template\.nii\.gz: cannot be read"):
        fit_template(tmp_path / "template.nii.gz", grid, resample=True)


def test_the_file_must_be_there_and_be_the_one_that_was_meant(tmp_path):
    require_template(settings())
    file = tmp_path / "template.nii.gz"
    with pytest.raises(ConfigError, match=r"ica\.template\.path: there is no file .*template\.nii\.gz"):
        require_template(settings(file, "0" * 64))
    file.write_bytes(b"some bytes")
    right = hashlib.sha256(b"some bytes").hexdigest()
    require_template(settings(file, right))
    require_template(settings(file, right.upper()))
    with pytest.raises(ConfigError, match=f"sha256 is not set: .* is {right}"):
        require_template(settings(file))
    with pytest.raises(ConfigError, match=rf"has the SHA-256 {right}, but ica\.template\.sha256 says 0000"):
        require_template(settings(file, "0" * 64))
    with pytest.raises(ConfigError, match=r"ica\.template\.names: there is no file"):
        require_template(settings(file, right, tmp_path / "names.tsv"))


def test_names_and_domains_come_from_a_table(group, template, tmp_path):
    _, grid = template
    table = tmp_path / "names.tsv"
    table.write_text("label\tdomain\n" + "".join(f"IC {k}\t{'VI' if k < 3 else 'n/a'}\n" for k in range(8)))
    labels = label_template(group.maps.astype(np.float32), grid, table)
    assert labels["label"].tolist() == [f"IC {k}" for k in range(8)]
    assert labels["domain"].isna().tolist() == [False] * 3 + [True] * 5
    assert set(labels.columns) == set(LABELS_COLUMNS)
    assert labels["correlation"].isna().all()
    assert read_names(None, 2)["label"].tolist() == ["template-1", "template-2"]
    with pytest.raises(ConfigError, match="has 8 rows, but the image has 7 volumes"):
        read_names(table, 7)
    table.write_text("name\nx\n")
    with pytest.raises(ConfigError, match="has no column 'label'; its columns are name"):
        read_names(table, 1)
    with pytest.raises(ConfigError, match="there is no such table"):
        read_names(tmp_path / "missing.tsv", 1)


def test_nothing_is_claimed_of_the_stability_of_a_template():
    table = unestimated_table(3)
    assert table.columns.tolist() == list(STABILITY_COLUMNS)
    assert table.drop(columns="component").isna().all(axis=None)
