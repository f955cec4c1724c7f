"""Provenance of results as an RO-Crate: every file with its hash, every job with what it read and wrote, the software.

``python -m gradspec.crate SUMMARY RESULTS`` writes ``ro-crate-metadata.json`` into the results (`make crate`).
It follows RO-Crate 1.1 (https://w3id.org/ro/crate/1.1) and its profile Process Run Crate 0.5
(https://w3id.org/ro/wfrun/process/0.5). SUMMARY is what ``snakemake --detailed-summary`` prints.
"""

import csv
import hashlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from mimetypes import guess_type
from pathlib import Path
from typing import Any

from rocrate.model.contextentity import ContextEntity
from rocrate.rocrate import ROCrate

from gradspec.errors import ConfigError
from gradspec.files import PathLike, atomic_path, read_json

METADATA = "ro-crate-metadata.json"
_FORMATS = {".gz": "application/gzip", ".log": "text/plain", ".nc": "application/netcdf", ".pt": "application/zip"}
_PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
_TERMS = "https://w3id.org/ro/terms/workflow-run/context"  # defines sha256, which the context of RO-Crate does not


@dataclass
class Job:
    """What a job of the workflow read and wrote; paths are as Snakemake has them."""

    rule: str
    log: str
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)


def read_summary(path: PathLike) -> list[Job]:
    """Read what ``snakemake --detailed-summary`` printed; a job is told by its log.

    Raises
    ------
    ConfigError
        If it is no such table, or if Snakemake no longer knows how files that are there were made.
    """
    jobs: dict[str, Job] = {}
    unknown = []
    with Path(path).open(encoding="utf-8", newline="") as stream:
        table = csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
        if not {"output_file", "rule", "log-file(s)", "input-file(s)"} <= set(table.fieldnames or ()):
            raise ConfigError(f"{path}: not what `snakemake --detailed-summary` prints; run `make crate`")
        for row in table:
            if row["log-file(s)"] == "-" and Path(row["output_file"]).exists():
                unknown.append(row["output_file"])
            job = jobs.setdefault(row["log-file(s)"], Job(row["rule"], row["log-file(s)"]))
            job.outputs.append(row["output_file"])
            job.inputs += [name for name in row["input-file(s)"].split(",") if name not in ("", "-", *job.inputs)]
    if unknown:
        raise ConfigError(
            f"Snakemake has no record of how {len(unknown)} of the files were made, the first {unknown[0]}: make "
            "the crate where the workflow ran, or copy the hidden folder .snakemake that lies there as well"
        )
    return [job for job in jobs.values() if job.log != "-"]


def write_crate(results: PathLike, jobs: Iterable[Job]) -> None:
    """Write the provenance of a folder of results into it.

    Parameters
    ----------
    results : path
        Folder of results of a run that ended.
    jobs : iterable of Job
        What the workflow did; of files that are gone only the names are given.

    Raises
    ------
    ConfigError
        If the run has not ended: ``environment.json`` is missing.
    """
    results = Path(results)
    if not (results / "environment.json").is_file():
        raise ConfigError(f"{results / 'environment.json'} does not exist: let the workflow end before `make crate`")
    crate = ROCrate(version="1.1")
    crate.metadata.extra_contexts.append(_TERMS)
    files = sorted(path for path in results.rglob("*") if path.is_file() and _is_result(path.relative_to(results)))
    _describe(crate, files)
    for path in files:
        crate.add_file(dest_path=path.relative_to(results).as_posix(), properties=_properties(path))
    program = _add_software(crate, read_json(results / "environment.json"))
    jobs = list(jobs)
    for job in jobs:
        _add_job(crate, job, results, program)
    _add_run(crate, jobs, results, program)
    with atomic_path(results / METADATA) as partial:
        crate.metadata.write(partial.parent)


def _is_result(path: Path) -> bool:
    return path.name != METADATA and not any(part.startswith(".partial-") for part in path.parts)


def _describe(crate: ROCrate, files: list[Path]) -> None:
    """Say what the folder is, as RO-Crate asks for."""
    crate.name = "Results of gradspec"
    crate.description = (
        "How deep networks learn from two groups of people: spectra of weight gradients a group, from data to figures"
    )
    crate.datePublished = _time(max(files, key=_modified))
    terms = {"@type": "CreativeWork", "name": "Not stated", "description": "The terms of the data apply."}
    crate.license = crate.add(ContextEntity(crate, "#licence", terms))
    profile = {"@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"}
    crate.root_dataset["conformsTo"] = crate.add(ContextEntity(crate, _PROFILE, profile))


def _add_software(crate: ROCrate, environment: dict[str, Any]) -> ContextEntity:
    """Add gradspec with its commit, and the packages that it ran with."""
    versions = environment["packages"] | {"gradspec": None}
    packages = [
        _add(crate, page, "SoftwareApplication", name=name, softwareVersion=version, url=page)
        for name, version in versions.items()
        if version and (page := f"https://pypi.org/project/{name}/{version}/")
    ]
    git = environment["git"]["workflow"] or {}
    return _add(
        crate,
        "#gradspec",
        "SoftwareApplication",
        name="gradspec",
        softwareVersion=environment["gradspec"],
        identifier=git.get("commit") or "unknown",
        description="a Snakemake workflow" + (", with changes that are not committed" if git.get("dirty") else ""),
        operatingSystem=environment["platform"],
        processorRequirements=environment["cpu"],
        runtimePlatform=f"Python {environment['python']}",
        softwareRequirements=packages,
    )


def _add_job(crate: ROCrate, job: Job, results: Path, program: ContextEntity) -> None:
    """Add a job as an action: a script of the workflow made these files from those."""
    script = _add(
        crate,
        f"#rule/{job.rule}",
        "SoftwareSourceCode",
        name=job.rule,
        programmingLanguage="Python",
        version=program["softwareVersion"],
        isPartOf=program,
    )
    left = [path for path in map(Path, [*job.outputs, job.log]) if path.exists()]
    ended = {"endTime": _time(max(left, key=_modified))} if left else {}
    action = _add(
        crate,
        f"#job/{Path(job.log).with_suffix('').as_posix()}",
        "CreateAction",
        name=job.rule,
        description=f"a job of the rule {job.rule}; its log is {job.log}",
        instrument=script,
        object=_one_or_all([_entity(crate, name, results) for name in job.inputs]),
        result=_one_or_all([_entity(crate, name, results) for name in job.outputs]),
        **ended,
    )
    crate.root_dataset.append_to("mentions", action)


def _add_run(crate: ROCrate, jobs: list[Job], results: Path, program: ContextEntity) -> None:
    """Add the run as a whole: from the config and the files that no job made."""
    made = {name for job in jobs for name in job.outputs}
    given = sorted({name for job in jobs for name in job.inputs} - made)
    action = _add(
        crate,
        "#run",
        "CreateAction",
        name="The whole workflow",
        description="from the files that were given to the figures",
        instrument=program,
        object=_one_or_all([_entity(crate, name, results) for name in (str(results / "config.json"), *given)]),
        result=crate.root_dataset,
        endTime=crate.root_dataset["datePublished"],
    )
    crate.root_dataset.append_to("mentions", action)


def _entity(crate: ROCrate, name: str, results: Path) -> Any:
    """Return the entity of a file or folder that a job names; what lies outside the results is added with its hash."""
    path = Path(name)
    inside = path.absolute().is_relative_to(results.absolute())
    where = path.absolute().relative_to(results.absolute()).as_posix() if inside else path.absolute().as_uri()
    if path.is_dir():
        return crate.dereference(where + "/") or crate.add_dataset(dest_path=where, properties={"name": where})
    if (known := crate.dereference(where)) is not None:
        return known
    properties = _properties(path) if path.is_file() else {"description": "intermediate; removed when no longer needed"}
    if inside:
        return crate.add(ContextEntity(crate, f"#gone/{where}", {"@type": "CreativeWork", "name": where} | properties))
    return crate.add_file(where, fetch_remote=False, validate_url=False, properties={"name": path.name} | properties)


def _one_or_all(entities: list[Any]) -> Any:
    """Return one entity by itself, as RO-Crate recommends."""
    return entities[0] if len(entities) == 1 else entities


def _add(crate: ROCrate, name: str, kind: str, /, **properties: Any) -> ContextEntity:
    return crate.dereference(name) or crate.add(ContextEntity(crate, name, {"@type": kind, **properties}))


def _properties(path: Path) -> dict[str, Any]:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {
        "sha256": digest,
        "contentSize": str(path.stat().st_size),
        "dateModified": _time(path),
        "encodingFormat": _FORMATS.get(path.suffix) or guess_type(path.name)[0] or "application/octet-stream",
    }


def _modified(path: Path) -> float:
    return path.stat().st_mtime


def _time(path: Path) -> str:
    return datetime.fromtimestamp(_modified(path), UTC).isoformat(timespec="seconds")


if __name__ == "__main__":
    try:
        write_crate(sys.argv[2], read_summary(sys.argv[1]))
    except ConfigError as error:
        sys.exit(f"Error: {error}")
