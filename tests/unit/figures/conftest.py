import os
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from figure_inputs import GRID, LEVELS
from matplotlib.figure import Figure
from matplotlib.testing.compare import compare_images

from gradspec.figures.style import styled

PICTURES = Path(__file__).parent / "pictures"
# Root mean square of the difference of two pictures, 0 to 255, that fonts and rounding may make.
TOLERANCE = 3.0


@styled
def save_small(figure: Figure, path: Path) -> None:
    """Save a figure large enough to see its parts, small enough to keep."""
    figure.savefig(path, dpi=45, metadata={"Software": None})


@pytest.fixture
def same_picture(tmp_path):
    """Compare a figure with its picture in ``pictures``; where NEW_PICTURES is set, write that picture anew."""

    def compare(figure: Figure, name: str) -> None:
        expected, drawn = PICTURES / f"{name}.png", tmp_path / f"{name}.png"
        save_small(figure, drawn)
        if "NEW_PICTURES" in os.environ:
            shutil.copy(drawn, expected)
        difference = compare_images(expected, drawn, TOLERANCE)
        assert difference is None, (
            f"{difference}\nLook at both. If the new one is right: NEW_PICTURES=1 python -m pytest tests/unit/figures"
        )

    return compare


@pytest.fixture
def levels() -> list[str]:
    return LEVELS


@pytest.fixture
def template() -> nib.Nifti1Image:
    """A ball instead of a brain."""
    voxels = np.moveaxis(np.indices((25, 32, 26)), 0, -1)
    ball = ((voxels - np.array([12, 16, 13])) ** 2).sum(-1) < 100
    return nib.Nifti1Image(ball.astype(np.float32) * 0.8, GRID)
