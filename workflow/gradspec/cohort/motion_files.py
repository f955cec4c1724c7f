"""Files of head motion of AFNI, FSL, SPM and the HCP: six numbers a volume, each tool in its own order and unit.

Columns come out under fMRIPrep's names, in mm and rad. Signs stay those of the tool, since the tools do not agree on
them and nothing that is made of the columns depends on them: least squares with squares and differences, and
framewise displacement, which takes absolute values.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gradspec.cohort.layout import ImageFile
from gradspec.errors import ParticipantError

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
_LARGEST_TURN = 0.6  # rad, 34 degrees: no head turns so far in a coil
_LEFT_OUT = ("space", "resolution", "density", "desc", "cohort")


@dataclass(frozen=True)
class MotionFormat:
    """How a tool writes head motion.

    Attributes
    ----------
    tool : str
        Who writes it, for messages.
    name : str
        Regular expression for the name of the file.
    columns : dict of int to tuple of int
        By the number of columns in the file, where trans_x, trans_y, trans_z, rot_x, rot_y and rot_z stand.
    degrees : bool
        Whether rotations are in degrees, otherwise in rad; translations are in mm everywhere.
    """

    tool: str
    name: str
    columns: dict[int, tuple[int, ...]]
    degrees: bool


FORMATS = (
    # 3dvolreg -1Dfile: roll (I-S axis), pitch (R-L), yaw (A-P), dS, dL, dP; -dfile: the volume before, two RMS after.
    MotionFormat("AFNI", r".*(?<!\.aff12)\.1D", {6: (4, 5, 3, 1, 2, 0), 9: (5, 6, 4, 2, 3, 1)}, degrees=True),
    MotionFormat("FSL (mcflirt)", r".*\.par", {6: (3, 4, 5, 0, 1, 2)}, degrees=False),
    MotionFormat("SPM", r"rp_.*\.txt", {6: (0, 1, 2, 3, 4, 5)}, degrees=False),
    # fMRIVolume/scripts/MotionCorrection.sh: the parameters of avscale, then their differences.
    MotionFormat("the HCP pipelines", r".*Movement_Regressors\.txt", {12: (0, 1, 2, 3, 4, 5)}, degrees=True),
)
"""Every format that is read. In FSL's, rotations come first; in the others named here, translations in x, y, z do."""


def motion_format(name: str) -> MotionFormat | None:
    """Return the format that a file name stands for, or None."""
    return next((form for form in FORMATS if re.fullmatch(form.name, name)), None)


def find_motion_files(bold: ImageFile, files: Iterable[str]) -> list[str]:
    """Find the motion files of a run.

    Parameters
    ----------
    bold : ImageFile
        The preprocessed image.
    files : iterable of str
        Files of the participant.

    Returns
    -------
    list of str
        Those beside the image that have a name of `FORMATS` and the entities of the run; a prefix such as ``rp_a``
        before ``sub-`` and what follows the entities do not count.
    """
    folder, entities = Path(bold.path).parent, _entities(bold)
    found = []
    for path in map(Path, files):
        start = path.name.find("sub-")
        if path.parent != folder or start < 0 or motion_format(path.name) is None:
            continue
        if _entities(ImageFile.from_path(path.name[start:])) == entities:
            found.append(str(path))
    return sorted(found)


def _entities(image: ImageFile) -> dict[str, str]:
    left_out = (*_LEFT_OUT, "suffix", "extension")
    return {name: value for name, value in image.entities.items() if name not in left_out}


def read_motion(text: str, form: MotionFormat, path: Path) -> "pd.DataFrame":
    """Read a motion file.

    Parameters
    ----------
    text : str
        Its content: numbers parted by blanks, tabs or commas; lines that begin with ``#`` are comments.
    form : MotionFormat
        How it is written.
    path : Path
        Where it lies, for messages.

    Returns
    -------
    DataFrame
        Translations in mm and rotations in rad, a row a volume.

    Raises
    ------
    ParticipantError
        If it holds anything but numbers, another number of columns, or rotations that no head makes.
    """
    import pandas as pd

    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    rows = [_numbers(line, number, path) for number, line in enumerate(lines, start=1)]
    places = _places(rows, form, path)
    table = pd.DataFrame([[row[place] for place in places] for row in rows], columns=list(_COLUMNS), dtype=float)
    if form.degrees:
        table[list(_COLUMNS[3:])] *= math.pi / 180
    turn = float(table[list(_COLUMNS[3:])].abs().to_numpy().max())
    if turn > _LARGEST_TURN:
        unit = "degrees" if form.degrees else "rad"
        raise ParticipantError(
            f"a rotation of {turn * 180 / math.pi:.0f} degrees is not one of a head in a scanner: by its name the file "
            f"is of {form.tool}, with rotations in {unit}; is it of another tool, or are its columns in another order?",
            file=path,
        )
    return table


def _numbers(line: str, number: int, path: Path) -> list[float]:
    try:
        values = [float(cell) for cell in line.replace(",", " ").split()]
    except ValueError as error:
        raise ParticipantError(f"line {number} of the motion file holds no numbers ({error})", file=path) from error
    if not all(map(math.isfinite, values)):
        raise ParticipantError(f"line {number} of the motion file has a value that is not finite", file=path)
    return values


def _places(rows: Sequence[Sequence[float]], form: MotionFormat, path: Path) -> tuple[int, ...]:
    widths = sorted({len(row) for row in rows})
    if len(widths) == 1 and widths[0] in form.columns:
        return form.columns[widths[0]]
    expected = " or ".join(map(str, form.columns))
    found = " or ".join(map(str, widths)) or "no"
    raise ParticipantError(
        f"the motion file has {found} columns, but {form.tool} writes {expected}; is it another kind of file?",
        file=path,
    )
