"""Raw BIDS: the runs of each participant, indexed with pybids so that inherited sidecars are understood."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gradspec.cohort.findings import Finding, Run
from gradspec.cohort.images import examine_image, require_length, settle_repetition_time
from gradspec.cohort.layout import NIFTI, ImageFile, Selection, require_folder, select_runs
from gradspec.cohort.participants import Participant
from gradspec.errors import ConfigError, ParticipantError, raise_machine_fault
from gradspec.progress import track

log = logging.getLogger(__name__)


def examine_bids(people: Sequence[Participant], section: Mapping[str, Any], min_volumes: int) -> list[Finding]:
    """Check the T1w image and the BOLD runs of every participant.

    Parameters
    ----------
    people : sequence of Participant
        Who is looked for.
    section : mapping
        The section ``cohort.bids`` of the configuration.
    min_volumes : int
        A run with fewer volumes is left out.

    Returns
    -------
    list of Finding
        One a participant.

    Raises
    ------
    ConfigError
        If the data set cannot be indexed or nothing in it is asked for.
    """
    data = _DataSet(require_folder(section["root"], "cohort.bids.root"))
    bold = {person.id: data.images(person.id, "bold") for person in people}
    chosen = select_runs(bold, Selection.from_config(section, "cohort.bids"))
    return [
        _examine_participant(person, chosen[person.id], data, min_volumes)
        for person in track(people, "check images", total=len(people))
    ]


class _DataSet:
    """A data set as pybids has indexed it; paths begin with `root` as the config gives it, absolute or not."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._layout = _index(root.resolve())

    def images(self, participant: str, suffix: str) -> list[ImageFile]:
        label = participant.removeprefix("sub-")
        paths = self._layout.get(subject=label, suffix=suffix, extension=list(NIFTI), return_type="filename")
        given = sorted(str(self.root / Path(path).relative_to(self._layout.root)) for path in paths)
        return [ImageFile.from_path(path) for path in given]

    def metadata(self, image: ImageFile) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._layout.get_metadata(
            str(Path(self._layout.root, Path(image.path).relative_to(self.root)))
        )
        return found


def _index(root: Path) -> Any:
    from bids import BIDSLayout, BIDSLayoutIndexer

    try:
        return BIDSLayout(root, validate=False, derivatives=False, indexer=BIDSLayoutIndexer(validate=False))
    except (OSError, ValueError) as error:
        raise_machine_fault(error)
        raise ConfigError(f"{root}: pybids cannot index the data set ({error}); correct the file it names") from error


def _examine_participant(person: Participant, bold: Sequence[ImageFile], data: _DataSet, min_volumes: int) -> Finding:
    finding = Finding(person)
    if not bold:
        finding.faults.append(
            ParticipantError(
                f"no BOLD image of the task and runs that are asked for in {data.root / person.id}; add it, or "
                "take the participant out of participants.tsv",
                participant=person.id,
            )
        )
        return finding
    anatomies = data.images(person.id, "T1w")
    if not anatomies:
        finding.notes.append("has no T1w image: the BOLD reference itself is registered to the template")
    for image in bold:
        try:
            t1w = _anatomy_for(image, anatomies, person.id)
            if t1w is not None:
                examine_image(t1w, 3, person.id)
            finding.runs.append(_examine_run(image, t1w, data.metadata(image), person.id, min_volumes))
        except ParticipantError as fault:
            finding.faults.append(fault)
    return finding


def _anatomy_for(image: ImageFile, anatomies: Sequence[ImageFile], participant: str) -> str | None:
    """Return the T1w image of the same session, else of any; the first by name where there are several."""
    same = [anatomy for anatomy in anatomies if anatomy.entities.get("session") == image.entities.get("session")]
    candidates = same or anatomies
    if not candidates:
        return None
    if len(candidates) > 1:
        log.info("%s: takes %s of %d T1w images", participant, candidates[0].path, len(candidates))
    return candidates[0].path


def _examine_run(
    image: ImageFile, t1w: str | None, metadata: Mapping[str, Any], participant: str, min_volumes: int
) -> Run:
    facts = examine_image(image.path, 4, participant)
    require_length(facts.shape[3], min_volumes, participant, image.path)
    session, task, run = image.key
    return Run(
        session=session,
        task=task,
        run=run,
        bold=image.path,
        t1w=t1w,
        repetition_time=settle_repetition_time(facts, metadata, participant),
        n_volumes=facts.shape[3],
        slice_timing=_slice_timing(metadata.get("SliceTiming")),
        slice_encoding_direction=metadata.get("SliceEncodingDirection"),
    )


def _slice_timing(times: Any) -> str | None:
    """Times of the slices as one cell of a table; None for what is no list of numbers, since few need the times."""
    numbers = isinstance(times, list) and times and all(type(time) in (int, float) for time in times)
    return ",".join(f"{time:.10g}" for time in times) if numbers else None
