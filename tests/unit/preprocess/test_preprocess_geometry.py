import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from gradspec.errors import ParticipantError
from gradspec.preprocess.geometry import (
    copy_itk_hdf5,
    from_itk_transform,
    image_centre,
    read_itk_transforms,
    rigid_matrix,
    rigid_parameters,
    to_itk,
    write_itk_transforms,
)

CENTRE = np.array([3.0, -12.0, 20.0])
parameter_lists = st.tuples(*[st.floats(-30, 30)] * 3, *[st.floats(-1.2, 1.2)] * 3).map(np.array)


@given(parameter_lists)
def test_parameters_survive_the_way_through_a_matrix(parameters: np.ndarray) -> None:
    matrix = rigid_matrix(parameters, CENTRE)
    np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(rigid_parameters(matrix, CENTRE), parameters, atol=1e-9)


def test_a_rotation_leaves_its_centre_and_turns_right_handed() -> None:
    matrix = rigid_matrix(np.array([0, 0, 0, 0, 0, np.pi / 2]), CENTRE)
    np.testing.assert_allclose(matrix @ [*CENTRE, 1], [*CENTRE, 1], atol=1e-12)
    np.testing.assert_allclose(matrix[:3, :3] @ [1, 0, 0], [0, 1, 0], atol=1e-12)


def test_itk_reads_the_transforms_that_are_written(tmp_path: Path) -> None:
    matrices = np.stack([rigid_matrix(np.array([1, 2, 3, 0.1, -0.2, 0.3]) * scale, CENTRE) for scale in (0.5, -1)])
    write_itk_transforms(matrices, tmp_path / "motion.txt")
    np.testing.assert_allclose(read_itk_transforms(tmp_path / "motion.txt"), matrices, atol=1e-8)
    write_itk_transforms(matrices[:1], tmp_path / "one.txt")
    np.testing.assert_allclose(
        from_itk_transform(sitk.ReadTransform(str(tmp_path / "one.txt"))), matrices[0], atol=1e-8
    )


def test_an_oblique_image_keeps_its_place_in_itk() -> None:
    affine = rigid_matrix(np.array([5, -4, 3, 0.2, 0.1, -0.3]), CENTRE) @ np.diag([-2.0, 3.0, 4.0, 1.0])
    image = to_itk(np.arange(60, dtype=float).reshape(3, 4, 5), affine)
    lps = image.TransformIndexToPhysicalPoint((2, 1, 3))
    np.testing.assert_allclose(np.array(lps) * [-1, -1, 1], (affine @ [2, 1, 3, 1])[:3], atol=1e-9)
    assert image[2, 1, 3] == 2 * 20 + 1 * 5 + 3
    np.testing.assert_allclose(image_centre((3, 4, 5), affine), (affine @ [1, 1.5, 2, 1])[:3])


def test_sheared_axes_are_refused() -> None:
    sheared = np.eye(4)
    sheared[0, 1] = 0.2
    with pytest.raises(ParticipantError, match="right angles"):
        to_itk(np.zeros((2, 2, 2)), sheared)


def test_a_copied_transform_is_the_same_without_its_time(tmp_path: Path) -> None:
    field = sitk.GetImageFromArray(np.random.default_rng(0).normal(size=(4, 4, 4, 3)), isVector=True)
    affine = sitk.AffineTransform(3)
    affine.Scale(1.5)
    transform = sitk.CompositeTransform([affine, sitk.DisplacementFieldTransform(field)])
    written = []
    for name in ("first.h5", "second.h5"):
        sitk.WriteTransform(transform, str(tmp_path / name))
        copy_itk_hdf5(tmp_path / name, tmp_path / f"copy-{name}")
        written.append((tmp_path / f"copy-{name}").read_bytes())
        time.sleep(1.1)  # HDF5 counts whole seconds
    assert written[0] == written[1]
    copy = sitk.ReadTransform(str(tmp_path / "copy-first.h5"))
    point = (1.2, 0.7, 0.4)
    np.testing.assert_allclose(copy.TransformPoint(point), transform.TransformPoint(point))
