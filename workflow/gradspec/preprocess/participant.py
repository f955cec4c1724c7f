"""One participant from raw images to derivatives: the workflows put together, run, and judged."""

import errno
import logging
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from nipype.pipeline.engine import Node, Workflow
from nipype.pipeline.engine.nodes import NodeExecutionError

from gradspec.cohort.runs import BoldRun
from gradspec.errors import ParticipantError
from gradspec.files import read_json, scratch_folder, write_text
from gradspec.preprocess.anatomical import init_anatomical_wf
from gradspec.preprocess.ants import ants_on_path, ants_version
from gradspec.preprocess.derivatives import Output, name_anatomical, name_functional
from gradspec.preprocess.functional import init_bold_wf
from gradspec.preprocess.interfaces.base import Step
from gradspec.preprocess.interfaces.save import SaveDerivative
from gradspec.preprocess.methods import describe_methods
from gradspec.preprocess.pages import PAGE, render_participant

log = logging.getLogger(__name__)


def preprocess_participant(
    participant: str,
    runs: Sequence[BoldRun],
    folder: Path,
    settings: Mapping[str, Any],
    seed: int,
    target: Path | None = None,
) -> list[BoldRun]:
    """Preprocess a participant.

    Parameters
    ----------
    participant : str
        For example ``sub-01``.
    runs : sequence of BoldRun
        The raw runs; the T1w image of the first is used for all.
    folder : Path
        Where the derivatives go.
    settings : mapping
        The section ``preprocess`` of the configuration.
    seed : int
        Seed of everything random.
    target : Path, optional
        Where the folder will be moved in the end; temporary files that a killed job left are known by it.

    Returns
    -------
    list of BoldRun
        The runs in template space, below `folder`, with their quality numbers.

    Raises
    ------
    ParticipantError
        If an image cannot be used or a registration fails.
    """
    t1w = _usable_t1w(runs, settings)
    with scratch_folder(target or folder) as work:
        with ants_on_path(work / "ants"):
            _run(init_participant_wf(participant, runs, folder.absolute(), work, settings, seed), participant)
            software = {"ANTs": ants_version(), **{name: version(name) for name in ("nipype", "SimpleITK", "deepbet")}}
        done = []
        for run in runs:
            paths = {each.field: folder / each.path for each in name_functional(run, settings, t1w is not None)}
            done.append(
                replace(
                    run,
                    bold=paths["bold_template"],
                    mask=paths["mask_template"],
                    confounds=paths["confounds"],
                    sidecars=(),
                    normalized="BOLD" if t1w is None else "T1w",
                    quality=read_json(work / f"{run.name}_quality.json"),
                    software=software,
                )
            )
        _write_page(participant, done, folder, settings)
        return done


def _write_page(participant: str, runs: Sequence[BoldRun], folder: Path, settings: Mapping[str, Any]) -> None:
    pictures = sorted(str(path.relative_to(folder)) for path in (folder / "figures").glob("*.png"))
    text = render_participant(participant, runs, pictures, settings["quality"], describe_methods(runs, settings))
    write_text(text, folder / PAGE)


def init_participant_wf(
    participant: str, runs: Sequence[BoldRun], folder: Path, work: Path, settings: Mapping[str, Any], seed: int
) -> Workflow:
    """Compose everything for a participant: the T1w image once, then each run.

    Parameters
    ----------
    participant : str
        For example ``sub-01``.
    runs : sequence of BoldRun
        The raw runs.
    folder : Path
        Where the derivatives go.
    work : Path
        Scratch folder; the quality numbers of a run are left there as ``<name>_quality.json``.
    settings : mapping
        The section ``preprocess`` of the configuration.
    seed : int
        Seed of everything random.

    Raises
    ------
    ParticipantError
        If there is no run.
    """
    if not runs:
        raise ParticipantError("has no usable BOLD run", participant=participant)
    t1w = _usable_t1w(runs, settings)
    workflow = Workflow(name="participant", base_dir=str(work))
    anatomical = None
    if t1w is not None:
        anatomical = init_anatomical_wf(settings, seed, f"{participant}: T1w image in template space")
        anatomical.inputs.inputnode.t1w = str(t1w.absolute())  # nodes run in folders of their own
        _save(workflow, anatomical, name_anatomical(participant, t1w, settings), folder)
    for index, run in enumerate(runs):
        bold = init_bold_wf(f"bold_{index:02d}", run, settings, seed, t1w is not None)
        bold.inputs.inputnode.bold = str(run.bold.absolute())
        if anatomical is None:
            workflow.add_nodes([bold])
        else:
            workflow.connect([(anatomical, bold, _anatomical_links(settings))])
        _save(workflow, bold, name_functional(run, settings, t1w is not None), folder)
        _save(workflow, bold, [Output("quality", f"{run.name}_quality.json", {})], work)
    return workflow


def _usable_t1w(runs: Sequence[BoldRun], settings: Mapping[str, Any]) -> Path | None:
    """The T1w image that the runs follow to the template; None where they go there by themselves."""
    return runs[0].t1w if runs and settings["coregistration"] else None


def _anatomical_links(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What every run takes from the anatomical workflow, by the names of either."""
    names = {"brain": "t1w_brain", "points": "points", "overlap": "normalization_overlap"}
    if settings["segmentation"] == "atropos":
        names |= {"csf": "csf", "white_matter": "white_matter"}
    return [(f"outputnode.{theirs}", f"inputnode.{ours}") for theirs, ours in names.items()]


def _save(workflow: Workflow, source: Workflow, outputs: Sequence[Output], folder: Path) -> None:
    """Connect results of `source` to their places under `folder`."""
    for output in outputs:
        sink = Node(
            SaveDerivative(out_file=str(folder / output.path), sidecar=dict(output.sidecar)),
            name=f"save_{source.name}_{output.field}",
        )
        workflow.connect([(source, sink, [(f"outputnode.{output.field}", "in_file")])])


def _run(workflow: Workflow, participant: str) -> None:
    """Run a workflow in this process; what a step or a program refused becomes a ParticipantError."""
    workflow.config["execution"] = {
        "stop_on_first_crash": "true",
        "crashfile_format": "txt",
        "crashdump_dir": workflow.base_dir,
        "check_version": "false",
        "remove_unnecessary_outputs": "false",
        "hash_method": "timestamp",
    }
    Step.refused.clear()
    try:
        workflow.run(plugin="Linear")
    except NodeExecutionError as error:
        if Step.refused:
            refused = Step.refused[0]
            raise ParticipantError(refused.reason, participant=participant, file=refused.file) from error
        if "Cmdline:" not in str(error):
            raise  # a fault of ours, not of the data
        log.error("%s", error)
        _require_room(Path(workflow.base_dir), str(error))
        program, last = _explain_program(str(error))
        raise ParticipantError(f"{program} failed ({last}); look at the images", participant=participant) from error


_LEAST_ROOM = 16 << 20  # bytes: less, and it was the disk that made the program fail


def _require_room(folder: Path, text: str) -> None:
    """Refuse to blame the images where the computer made a program fail: a full disk, no memory, a signal."""
    if shutil.disk_usage(folder).free < _LEAST_ROOM:
        raise OSError(errno.ENOSPC, "the disk for temporary files is full, choose another by TMPDIR", str(folder))
    code = re.search(r"exited with code (-?\d+)", text)
    if (code and not 0 <= int(code.group(1)) < 128) or "bad_alloc" in text or "allocate memory" in text:
        raise MemoryError(f"a program was killed or had no memory left, give the job more mem_mb:\n{text}")


def _explain_program(text: str) -> tuple[str, str]:
    """Name of the program that failed, and the last thing it said."""
    command = text.split("Cmdline:", 1)[1].split("Stdout:", 1)[0].strip()
    said = [line.strip() for line in text.split("Stdout:", 1)[1].split("Traceback:", 1)[0].splitlines()]
    lines = [line for line in said if line and line != "Stderr:"]
    return command.split()[0], lines[-1] if lines else "it said nothing"
