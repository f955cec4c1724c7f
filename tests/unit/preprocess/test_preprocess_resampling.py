from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from gradspec.preprocess.geometry import FLIP, rigid_matrix, to_itk
from gradspec.preprocess.resampling import resample_run, sample, template_to_t1w, transform_points

AFFINE = np.array([[-5.0, 0, 0, 72.5], [0, 5.0, 0, -87.5], [0, 0, 5.0, -67.5], [0, 0, 0, 1]])
GRID_SHAPE = (20, 22, 18)
GRID = np.array([[4.0, 0, 0, -38], [0, 4, 0, -42], [0, 0, 4, -34], [0, 0, 0, 1]])


def itk_affine(matrix: np.ndarray) -> sitk.AffineTransform:
    lps = FLIP @ matrix @ FLIP
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(lps[:3, :3].ravel().tolist())
    transform.SetTranslation(lps[:3, 3].tolist())
    return transform


@pytest.fixture
def normalization() -> sitk.Transform:
    """An affine after a smooth warp, as ANTs writes them."""
    waves = np.stack(np.meshgrid(*[np.linspace(0, 3, 25)] * 3, indexing="ij"), axis=-1)
    image = sitk.GetImageFromArray(2.5 * np.sin(waves), isVector=True)
    image.SetSpacing([5.0] * 3)
    image.SetOrigin([-60.0] * 3)
    warp = sitk.DisplacementFieldTransform(sitk.Cast(image, sitk.sitkVectorFloat64))
    affine = itk_affine(rigid_matrix(np.array([2, -3, 1, 0.05, 0.02, -0.04]), np.zeros(3)) @ np.diag([1.1, 0.95, 1, 1]))
    return sitk.CompositeTransform([affine, warp])


def test_the_map_to_the_t1w_image_is_that_of_itk(normalization: sitk.Transform, tmp_path: Path) -> None:
    sitk.WriteTransform(normalization, str(tmp_path / "xfm.h5"))
    mask = np.zeros(GRID_SHAPE, dtype=bool)
    mask[3:6, 7, 2:9] = True
    points = template_to_t1w(tmp_path / "xfm.h5", mask, GRID)
    for voxel, point in zip(np.argwhere(mask), points, strict=True):
        world = (GRID @ [*voxel, 1])[:3] * [-1, -1, 1]
        expected = np.array(normalization.TransformPoint(world.tolist())) * [-1, -1, 1]
        np.testing.assert_allclose(point, expected, atol=1e-4)


def test_one_interpolation_equals_itk_with_all_transforms_stacked(
    head: Callable[..., np.ndarray], normalization: sitk.Transform, tmp_path: Path
) -> None:
    motion = np.stack([rigid_matrix(np.array([1, 2, -1, 0.03, 0.01, -0.02]) * k, np.zeros(3)) for k in (0, 1, -2)])
    to_reference = rigid_matrix(np.array([-4, 3, 2, 0.04, 0.02, 0.05]), np.zeros(3))
    run = np.stack([head(pose) for pose in motion], axis=3)
    sitk.WriteTransform(normalization, str(tmp_path / "xfm.h5"))
    everywhere = np.ones(GRID_SHAPE, dtype=bool)
    points = template_to_t1w(tmp_path / "xfm.h5", everywhere, GRID)
    reference_grid = to_itk(np.zeros(GRID_SHAPE), GRID)
    for index, values in enumerate(resample_run(run, AFFINE, motion, to_reference, points)):
        stacked = sitk.CompositeTransform([itk_affine(motion[index]), itk_affine(to_reference), normalization])
        volume = to_itk(run[..., index], AFFINE)
        expected = sitk.GetArrayFromImage(sitk.Resample(volume, reference_grid, stacked, sitk.sitkBSpline3, 0.0)).T
        np.testing.assert_allclose(values.reshape(GRID_SHAPE), expected, atol=0.5)


def test_a_moved_head_comes_back_to_its_place(head: Callable[..., np.ndarray]) -> None:
    pose = rigid_matrix(np.array([3, -2, 4, 0.05, -0.04, 0.06]), np.zeros(3))
    grid = np.indices(GRID_SHAPE).reshape(3, -1).T @ GRID[:3, :3].T + GRID[:3, 3]
    values = sample(head(pose), AFFINE, transform_points(pose, grid))
    truth = head(shape=GRID_SHAPE, affine=GRID).ravel()
    assert np.sqrt(np.mean((values - truth) ** 2)) < 5, "of a signal of about 1000"


def test_outside_the_field_of_view_is_zero(head: Callable[..., np.ndarray]) -> None:
    outside = np.array([[0.0, 0, 500], [0, 0, 0]])
    values = sample(head() + 7, AFFINE, outside)
    assert values[0] == 0
    assert values[1] > 100
