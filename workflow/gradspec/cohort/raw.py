"""Raw BIDS: which BOLD runs there are, and the T1w image and the sidecars that go with each.

Read when the workflow is planned and when the cohort is checked, so that both see the same runs; nothing heavy is
imported here.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gradspec.cohort.ignore import read_bidsignore
from gradspec.cohort.layout import NIFTI, ImageFile, Selection, list_files, select_runs
from gradspec.cohort.runs import BoldRun
from gradspec.cohort.sidecars import find_sidecars
from gradspec.errors import ConfigError

log = logging.getLogger(__name__)


def find_raw(root: Path, participants: Sequence[str], section: Mapping[str, Any]) -> dict[str, list[BoldRun]]:
    """Find the BOLD runs that the config asks for.

    Parameters
    ----------
    root : Path
        Folder of the data set. Only the folders of the participants directly below it are looked into, without what
        ``.bidsignore`` names: derivatives, sourcedata and runs that were set aside lie there too.
    participants : sequence of str
        Participant ids.
    section : mapping
        The section ``cohort.bids`` of the configuration.

    Returns
    -------
    dict
        Runs by participant, in the order of session and run; an empty list for who has none.

    Raises
    ------
    ConfigError
        If nobody has a file, or if the selection is not clear.
    """
    ignored = read_bidsignore(root)
    files = {
        who: _images(path for path in map(Path, list_files(root / who)) if not ignored(path)) for who in participants
    }
    if not any(files.values()):
        raise ConfigError(
            f"{root}: none of the {len(files)} participants of the table has a folder sub-* with files there"
        )
    shared = _images(path for path in root.glob("*.json") if not ignored(path))
    bold = {who: [image for image in theirs if _is(image, "bold")] for who, theirs in files.items()}
    chosen = select_runs(bold, Selection.from_config(section, "cohort.bids"))
    return {
        who: [
            BoldRun(
                who,
                Path(image.path),
                t1w=_anatomy_for(image, [other for other in files[who] if _is(other, "T1w")], who),
                sidecars=find_sidecars(image, [*shared, *files[who]]),
            )
            for image in theirs
        ]
        for who, theirs in chosen.items()
    }


def _images(paths: Iterable[Path]) -> list[ImageFile]:
    return [ImageFile.from_path(path) for path in paths]


def _is(image: ImageFile, suffix: str) -> bool:
    return image.entities["suffix"] == suffix and image.entities["extension"] in NIFTI


def _anatomy_for(image: ImageFile, anatomies: Sequence[ImageFile], participant: str) -> Path | None:
    """Return the T1w image of the same session, else of any; the first by name where there are several."""
    same = [anatomy for anatomy in anatomies if anatomy.entities.get("session") == image.entities.get("session")]
    candidates = same or anatomies
    if len(candidates) > 1:
        log.info("%s: takes %s of %d T1w images", participant, candidates[0].path, len(candidates))
    return Path(candidates[0].path) if candidates else None
