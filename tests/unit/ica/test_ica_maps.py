"""Maps for networks: where they belong, averaged over blocks; and ALFF, the amplitude of what is in the band."""

import nibabel as nib
import numpy as np
import pytest

from gradspec.cohort.runs import BoldRun
from gradspec.errors import ConfigError, ParticipantError
from gradspec.ica.images import maps_to_image, save_image
from gradspec.ica.maps import alff_maps, component_maps, mean_alff, stack_maps

AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])
INSIDE = np.zeros((7, 6, 5), dtype=bool)
INSIDE[1:6, 2:6, 1:4] = True
INSIDE[1, 2, 1] = False
MASK = nib.Nifti1Image(INSIDE.astype(np.uint8), AFFINE)


def save_maps(folder, name, maps, affine=AFFINE):
    image = maps_to_image(maps, nib.Nifti1Image(INSIDE.astype(np.uint8), affine))
    save_image(image, folder / f"{name}_components.nii.gz")


def test_maps_are_cut_to_the_mask_in_the_order_of_the_runs(tmp_path):
    maps = np.random.default_rng(0).standard_normal((2, 3, INSIDE.sum())).astype(np.float32)
    save_maps(tmp_path, "sub-b_run-1", maps[0])
    save_maps(tmp_path, "sub-a", maps[1])
    found = component_maps(tmp_path, ["sub-b", "sub-a"], ["run-1", ""], MASK, shrink=1)
    assert found["maps"].dims == ("participant", "map", "x", "y", "z") and found["maps"].dtype == np.float32
    assert found["participant"].values.tolist() == ["sub-b", "sub-a"] and found["run"].values.tolist() == ["run-1", ""]
    inside = INSIDE[1:6, 2:6, 1:4]
    np.testing.assert_array_equal(found["maps"].values[..., inside], maps)
    assert (found["maps"].values[..., ~inside] == 0).all()


def test_blocks_are_the_mean_of_their_voxels_in_the_mask():
    maps = np.random.default_rng(1).standard_normal((1, 2, INSIDE.sum())).astype(np.float32)
    found = stack_maps(maps, ["sub-a"], [""], MASK, 2, long_name="test")["maps"].values[0]
    assert found.shape == (2, 3, 2, 2)  # of 5 × 4 × 3 voxels
    volumes = np.full((2, *INSIDE.shape), np.nan)
    volumes[:, INSIDE] = maps[0]
    volumes = volumes[:, 1:6, 2:6, 1:4]
    for x, y, z in np.ndindex(found.shape[1:]):
        block = volumes[:, 2 * x : 2 * x + 2, 2 * y : 2 * y + 2, 2 * z : 2 * z + 2].reshape(2, -1)
        np.testing.assert_allclose(found[:, x, y, z], np.nanmean(block, axis=1), rtol=1e-5)


def test_what_lies_elsewhere_or_is_missing_is_refused(tmp_path):
    save_maps(tmp_path, "sub-a", np.ones((3, INSIDE.sum()), np.float32), affine=2 * AFFINE)
    with pytest.raises(ParticipantError, match=r"sub-a_components.nii.gz.*voxel grid|voxel grid.*sub-a"):
        component_maps(tmp_path, ["sub-a"], [""], MASK, shrink=1)
    with pytest.raises(ParticipantError, match="sub-b_components"):
        component_maps(tmp_path, ["sub-b"], [""], MASK, shrink=1)
    empty = nib.Nifti1Image(np.zeros((2, 2, 2), np.uint8), AFFINE)
    with pytest.raises(ConfigError, match="the mask is empty"):
        stack_maps([], [], [], empty, 1, long_name="test")


def test_alff_is_the_amplitude_of_what_is_in_the_band():
    time = np.arange(200) * 2.0  # s
    amplitude = np.array([1.0, 2.0, 3.0])
    slow = amplitude * np.sin(2 * np.pi * 0.05 * time)[:, None]
    fast = 10 * np.sin(2 * np.pi * 0.2 * time)[:, None]
    np.testing.assert_allclose(mean_alff((slow + fast + 100).astype(np.float32), 2.0), amplitude / 2, rtol=1e-3)
    with pytest.raises(ParticipantError, match=r"have no frequency from 0\.01 to 0\.08 Hz"):
        mean_alff(slow[:4].astype(np.float32), 2.0)
    with pytest.raises(ParticipantError, match="constant or not finite"):
        mean_alff(np.ones((200, 3), np.float32), 2.0)


def test_alff_of_a_run_is_read_from_its_image_and_a_bad_run_is_named(tmp_path):
    signal = np.random.default_rng(2).standard_normal((60, INSIDE.sum())).astype(np.float32)
    signal *= np.linspace(1, 3, INSIDE.sum(), dtype=np.float32)
    save_image(maps_to_image(signal, MASK), tmp_path / "sub-a_run-1_bold.nii.gz")
    run = BoldRun("sub-a", tmp_path / "sub-a_run-1_bold.nii.gz", mask=tmp_path / "mask.nii.gz", repetition_time=2.0)
    found = alff_maps([run], MASK, shrink=1)
    assert found["map"].values.tolist() == ["alff"]
    np.testing.assert_allclose(found["maps"].values[0, 0][INSIDE[1:6, 2:6, 1:4]], mean_alff(signal, 2.0), rtol=1e-5)
    save_image(maps_to_image(np.ones((60, INSIDE.sum()), np.float32), MASK), tmp_path / "sub-b_bold.nii.gz")
    with pytest.raises(ParticipantError, match="sub-b"):
        alff_maps(
            [BoldRun("sub-b", tmp_path / "sub-b_bold.nii.gz", mask=tmp_path, repetition_time=2.0)], MASK, shrink=1
        )
