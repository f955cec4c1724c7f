"""JSON sidecars of an image: which ones apply to it, and what they say together (the inheritance principle of BIDS)."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gradspec.cohort.layout import ImageFile
from gradspec.cohort.runs import BoldRun
from gradspec.errors import ParticipantError
from gradspec.files import read_json


def find_sidecars(image: ImageFile, candidates: Iterable[ImageFile]) -> tuple[Path, ...]:
    """Find the sidecars that apply to an image.

    Parameters
    ----------
    image : ImageFile
        The image.
    candidates : iterable of ImageFile
        Files of its data set; others than sidecars are passed over.

    Returns
    -------
    tuple of Path
        Those in the folder of the image or above it that have its suffix, and no entity that it has not. The nearer to
        the image, and in one folder the more entities, the later.
    """
    folder, entities = Path(image.path).parent, image.entities.items()
    applying = [
        (len(path.parts), len(other.entities), path)
        for other in candidates
        if other.entities["extension"] == ".json"
        and (path := Path(other.path)).parent in (folder, *folder.parents)
        and {**other.entities, "extension": image.entities["extension"]}.items() <= entities
    ]
    return tuple(path for *_, path in sorted(applying))


def read_sidecars(run: BoldRun) -> dict[str, Any]:
    """Read what the sidecars of a run say; the later one wins.

    Raises
    ------
    ParticipantError
        If a sidecar cannot be read, or is no JSON object.
    """
    metadata: dict[str, Any] = {}
    for path in run.sidecars:
        try:
            said = read_json(path)
        except OSError as error:
            reason = f"cannot be read ({error.strerror}); fetch or restore it"
            raise ParticipantError(reason, participant=run.participant_id, file=path) from error
        except (ValueError, RecursionError) as error:
            reason = f"is not valid JSON ({error}); correct it"
            raise ParticipantError(reason, participant=run.participant_id, file=path) from error
        if not isinstance(said, dict):
            raise ParticipantError("holds no JSON object; correct it", participant=run.participant_id, file=path)
        metadata |= said
    return metadata
