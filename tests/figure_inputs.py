"""Small, realistic inputs of the figures."""

import nibabel as nib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text

LEVELS = ["control", "patient"]
GRID = np.diag([6.0, 6.0, 6.0, 1.0])
GRID[:3, 3] = (-72, -108, -72)


def people(n: int) -> pd.DataFrame:
    return pd.DataFrame(
        {"participant_id": [f"sub-{i + 1:02d}" for i in range(n)], "group": [LEVELS[i % 2] for i in range(n)]}
    )


def blobs(centres: list[tuple[int, int, int]]) -> nib.Nifti1Image:
    """A Gaussian blob a volume, centred on a voxel of a 6 mm grid, 8 at its peak."""
    voxels = np.moveaxis(np.indices((25, 32, 26)), 0, -1)
    maps = [8 * np.exp(-((voxels - np.array(centre)) ** 2).sum(-1) / 8) for centre in centres]
    return nib.Nifti1Image(np.stack(maps, axis=-1).astype(np.float32), GRID)


def texts(figure: Figure) -> str:
    """Everything that is written in a figure, one piece a line."""
    return "\n".join(text.get_text() for text in figure.findobj(Text))


def colours_of(ax: Axes, label: str) -> set[str]:
    """Colours of the lines of that label."""
    return {to_hex(line.get_color()).upper() for line in ax.lines if line.get_label() == label}
