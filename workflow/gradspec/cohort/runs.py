"""A BOLD run from the planner to ICA: its files, its timing, and its row in the table of runs.

Each stage hands on the runs that can be used, in a ``runs.tsv`` with the columns of `RUN_COLUMNS` and those that it
adds; `bold`, `mask` and `confounds` are then the files that the stage made. Read when the workflow is planned, so
nothing heavy is imported at the top.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from gradspec.cohort.layout import ImageFile, bids
from gradspec.files import PathLike, read_table

if TYPE_CHECKING:
    import pandas as pd

RUN_COLUMNS: dict[str, Any] = {
    "participant_id": "Id of the participant",
    "session": "Value of the ses- entity",
    "task": "Value of the task- entity",
    "run": "Value of the run- entity",
    "bold": "BOLD series",
    "t1w": "T1-weighted image",
    "mask": "Brain mask on the grid of the BOLD series",
    "confounds": "Table of confounds",
    "file": "File of time courses, connectivity or features",
    "reading": "How the file is read where it could be read otherwise; regions in rows, r, z",
    "repetition_time": {"Description": "Time between volumes", "Units": "s"},
    "n_volumes": "Number of volumes",
    "slice_timing": {"Description": "Times of the slices after the start of a volume, comma-separated", "Units": "s"},
    "slice_encoding_direction": "Axis of the slices (i, j, k), with - where the times run backwards",
}
"""Columns of every table of runs, with their descriptions."""

REPETITION_TIME_TOLERANCE = 5e-3
"""Repetition times that differ by less (relative) are one: scanners of a site write 1.6645 to 1.6699 s for 1.667 s."""

_PATHS = ("bold", "t1w", "mask", "confounds")


@dataclass(frozen=True)
class BoldRun:
    """A BOLD run; what it lacks, or what nobody has looked up yet, is None (of numbers: 0).

    Attributes
    ----------
    participant_id : str
        For example ``sub-01``.
    bold : Path
        The series; its name gives the entities of the run. Paths are absolute, or from where the workflow runs.
    t1w, mask, confounds : Path or None
        T1w image of the participant, brain mask on the grid of the series, and table of confounds.
    sidecars : tuple of Path
        JSON files that describe the series; a later one overrides those before it.
    repetition_time : float
        Time between volumes, in seconds.
    n_volumes : int
        Length of the series.
    grid : str
        Numbers and size of the voxels, in words.
    slice_timing : tuple of float or None
        Time of each slice in seconds after the start of its volume.
    slice_encoding_direction : str or None
        Axis of the slices, such as ``k``, or ``k-`` where the times run backwards.
    normalized : {"T1w", "BOLD"} or None
        What was registered to the template, once the run is preprocessed here.
    quality : mapping
        Quality numbers by name, as far as they have been measured.
    software : mapping
        Versions of the programs that made the images.
    note : str or None
        What is worth knowing of how it was denoised.
    """

    participant_id: str
    bold: Path
    t1w: Path | None = None
    mask: Path | None = None
    confounds: Path | None = None
    sidecars: tuple[Path, ...] = ()
    repetition_time: float = 0.0
    n_volumes: int = 0
    grid: str = ""
    slice_timing: tuple[float, ...] | None = None
    slice_encoding_direction: str | None = None
    normalized: str | None = None
    quality: Mapping[str, float] = field(default_factory=dict)
    software: Mapping[str, str] = field(default_factory=dict)
    note: str | None = None

    form: ClassVar[str] = ""  # by these two the check compares files of time courses; images do not have them
    names: ClassVar[tuple[str, ...]] = ()

    @property
    def source(self) -> Path:
        """The file that the run is read from."""
        return self.bold

    @property
    def files(self) -> list[Path]:
        """All files of the run that are there."""
        described = None if self.confounds is None else self.confounds.with_suffix(".json")
        named = (self.bold, *self.sidecars, self.t1w, self.mask, self.confounds, described)
        return [path for path in named if path is not None and path.exists()]

    @property
    def entities(self) -> dict[str, str]:
        """What the name of the series says, whatever was made of it: no space, resolution or description."""
        return {
            name: value
            for name, value in ImageFile.from_path(self.bold).entities.items()
            if name not in (*_OF_SPACE, "desc")
        }

    @property
    def space(self) -> dict[str, str]:
        """The entities of the space that the series is in; empty for a raw one."""
        return space_entities(ImageFile.from_path(self.bold))

    @property
    def label(self) -> str:
        """Entities but for the participant, such as ``ses-1_task-rest_run-2``."""
        return bids(self.entities, subject=None, suffix=None, extension="")

    @property
    def name(self) -> str:
        """Entities of the run, as the names of its files begin."""
        return bids(self.entities, suffix=None, extension="")

    def path(self, folder: PathLike = "", **entities: str | None) -> Path:
        """Name a file that is made of the run, below the folder of its participant.

        Parameters
        ----------
        folder : path
            Folder of the participant, or nothing for a relative path.
        **entities : str or None
            What is added to the entities of the run, and its ``suffix`` and ``extension``.
        """
        session = self.entities.get("session")
        return Path(folder, *([f"ses-{session}"] if session else []), "func", bids(self.entities, **entities))

    def moved(self, old: Path, new: Path) -> "BoldRun":
        """Return the run after the folder `old`, which holds its images, has become the folder `new`."""
        paths = {name: path for name in _PATHS if (path := getattr(self, name)) and path.is_relative_to(old)}
        return replace(self, **{name: new / path.relative_to(old) for name, path in paths.items()})

    def row(self) -> dict[str, Any]:
        """Return the run as a row, ready for a table or for JSON."""
        own = {name: _plain(value) for name, value in asdict(self).items()}
        return {name: self.entities.get(name) for name in ("session", "task", "run")} | own

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "BoldRun":
        """Read a row of a table (missing cells are NaN) or of JSON."""
        cells = {each.name: row[each.name] for each in fields(cls) if each.name in row and _is_given(row[each.name])}
        cells |= {name: Path(cells[name]) for name in _PATHS if name in cells}
        cells["sidecars"] = tuple(map(Path, cells.get("sidecars", ())))
        cells["repetition_time"] = float(cells.get("repetition_time", 0))  # 2 in a table is 2.0 s
        cells["n_volumes"] = int(cells.get("n_volumes", 0))
        if "slice_timing" in cells:
            cells["slice_timing"] = _times(cells["slice_timing"])
        return cls(**cells)


_OF_SPACE = ("space", "cohort", "resolution", "density")


def space_entities(image: ImageFile) -> dict[str, str]:
    """Return the entities of an image that say which space and grid it is on; none for a raw image."""
    return {name: image.entities[name] for name in _OF_SPACE if name in image.entities}


def read_runs(table: PathLike, participant: str | None = None) -> list[BoldRun]:
    """Read the BOLD runs of a ``runs.tsv``.

    Parameters
    ----------
    table : path
        Table of runs, of any stage.
    participant : str, optional
        Whose runs; by default those of everybody.

    Returns
    -------
    list of BoldRun
        In the order of the table.
    """
    rows = read_table(table).to_dict("records")
    return [BoldRun.from_row(row) for row in rows if participant in (None, row["participant_id"])]


def tabulate_runs(rows: Iterable[Mapping[str, Any]], added: Iterable[str] = ()) -> "pd.DataFrame":
    """Put rows of runs into a table with the columns of `RUN_COLUMNS` and those that a stage adds."""
    import pandas as pd

    columns = [*RUN_COLUMNS, *added]
    cells = [{name: _cell(row.get(name)) for name in columns} for row in rows]
    return pd.DataFrame(cells, columns=columns).astype({"n_volumes": "Int64"})


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, Path) else value


def _cell(value: Any) -> Any:
    """Return a value as a cell of a table has it: lists of numbers are text, and 0 s or volumes are not known."""
    if isinstance(value, list | tuple):
        return ",".join(f"{number:.10g}" for number in value)
    return value


def _is_given(value: Any) -> bool:
    return value is not None and value == value  # NaN is not itself


def _times(value: Any) -> tuple[float, ...]:
    """Read slice times: a list, the text of one, or a single number, as a table gives that of one slice."""
    return tuple(
        map(float, value.split(",") if isinstance(value, str) else value if isinstance(value, list) else [value])
    )
