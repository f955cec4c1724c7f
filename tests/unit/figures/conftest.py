import nibabel as nib
import numpy as np
import pytest
from figure_inputs import GRID, LEVELS


@pytest.fixture
def levels() -> list[str]:
    return LEVELS


@pytest.fixture
def template() -> nib.Nifti1Image:
    """A ball instead of a brain."""
    voxels = np.moveaxis(np.indices((25, 32, 26)), 0, -1)
    ball = ((voxels - np.array([12, 16, 13])) ** 2).sum(-1) < 100
    return nib.Nifti1Image(ball.astype(np.float32) * 0.8, GRID)
