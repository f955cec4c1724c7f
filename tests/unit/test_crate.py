"""Provenance of results: each file with its hash, each job with what it read and wrote, and nothing left open."""

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import rocrate
from rocrate.rocrate import ROCrate

from gradspec.crate import METADATA, Job, read_summary, write_crate
from gradspec.errors import ConfigError
from gradspec.figures.environment import describe_environment

COLUMNS = ["output_file", "date", "rule", "log-file(s)", "input-file(s)", "shellcmd", "status", "plan"]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Return a folder of results that two jobs made of a table of somebody's."""
    folder = tmp_path / "mine & yours"
    contents = {
        "results/selection/participants.tsv": "participant_id\n",
        "results/figures/a.png": "picture",
        "results/preprocess/sub-01/func/bold.nii.gz": "image",
        "results/config.json": "{}",
        "results/environment.json": json.dumps(describe_environment(tmp_path)),
        "data/people.tsv": "participant_id\tgroup\n",
    }
    for name, text in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    rows = [
        ("results/selection/participants.tsv", "select", "results/logs/select.log", "data/people.tsv"),
        ("results/preprocess/sub-01", "preprocess", "results/logs/sub-01.log", "results/selection/participants.tsv"),
        ("results/figures/a.png", "plot", "results/logs/plot.log", "results/preprocess/sub-01,results/gone.npy"),
        ("results/figures/a.svg", "plot", "results/logs/plot.log", "results/preprocess/sub-01,results/gone.npy"),
    ]
    lines = []
    for out, rule, log, read in rows:
        inputs = ",".join(str(folder / name) for name in read.split(","))
        lines.append("\t".join([str(folder / out), "-", rule, log, inputs, "-", "ok", "no update"]))
    (folder / "summary.tsv").write_text("\n".join(["\t".join(COLUMNS), *lines]) + "\n")
    return folder / "results"


def references(value: Any) -> Iterator[str]:
    """Give every id that a value refers to."""
    if isinstance(value, list):
        for part in value:
            yield from references(part)
    elif isinstance(value, dict):
        yield value["@id"]


def test_the_crate_says_who_made_what_of_what(results: Path) -> None:
    write_crate(results, read_summary(results.parent / "summary.tsv"))
    graph = {entity["@id"]: entity for entity in json.loads((results / METADATA).read_text())["@graph"]}
    for entity in graph.values():
        dangling = {name for key, value in entity.items() if key[0] != "@" for name in references(value)} - set(graph)
        assert dangling <= {"https://w3id.org/ro/crate/1.1"}, entity
    picture = graph["figures/a.png"]
    assert picture["sha256"] == hashlib.sha256(b"picture").hexdigest()
    (plot,) = (entity for entity in graph.values() if entity.get("name") == "plot" and "result" in entity)
    assert graph[plot["instrument"]["@id"]]["@type"] == "SoftwareSourceCode"
    assert "figures/a.png" in references(plot["result"])
    assert {"preprocess/sub-01/", "#gone/gone.npy"} == set(references(plot["object"]))
    table = (results.parent / "data" / "people.tsv").as_uri()
    assert table in references(graph["#run"]["object"])
    assert graph[table]["sha256"] == hashlib.sha256(b"participant_id\tgroup\n").hexdigest()
    assert {"#run", plot["@id"]} <= set(references(graph["./"]["mentions"]))
    assert graph[f"https://pypi.org/project/numpy/{version('numpy')}/"]["softwareVersion"] == version("numpy")
    assert set(graph["./"]) >= {"name", "description", "datePublished", "license", "conformsTo", "hasPart"}


def test_results_that_were_copied_without_the_record_of_their_jobs_get_no_crate(results: Path) -> None:
    summary = results.parent / "summary.tsv"
    first, *rows = summary.read_text().splitlines()
    forgotten = "\t".join(field if n not in (3, 4) else "-" for n, field in enumerate(rows[0].split("\t")))
    summary.write_text("\n".join([first, forgotten, *rows[1:]]) + "\n")
    with pytest.raises(ConfigError, match=r"no record of how 1 of .*participants\.tsv: .* \.snakemake"):
        read_summary(summary)


def test_the_crate_keeps_the_rules_of_its_profile(results: Path) -> None:
    """Some that the validator of RO-Crate (roc-validator) has, which needs the network."""
    log = results.parent / "results" / "logs" / "select.log"
    log.parent.mkdir()
    log.write_text("")
    jobs = read_summary(results.parent / "summary.tsv")
    jobs.append(Job("reduce", str(log), ["data/people.tsv"], ["results/gone.npy"]))
    write_crate(results, jobs)
    crate = json.loads((results / METADATA).read_text())
    assert crate["@context"] == [
        "https://w3id.org/ro/crate/1.1/context",
        "https://w3id.org/ro/terms/workflow-run/context",
    ]
    terms = json.loads((Path(rocrate.__file__).parent / "data" / "ro-crate.jsonld").read_text())["@context"]
    for entity in crate["@graph"]:
        assert {key for key in entity if key[0] != "@"} <= set(terms), entity
        assert [value for value in entity.values() if isinstance(value, list) and len(value) == 1] == []
    (reduced,) = (
        entity for entity in crate["@graph"] if entity["@id"].startswith("#job") and entity["name"] == "reduce"
    )
    assert datetime.fromisoformat(reduced["endTime"])  # of its log, where what it made is gone


def test_the_crate_is_read_back_and_written_again_the_same(results: Path) -> None:
    for _ in range(2):
        write_crate(results, read_summary(results.parent / "summary.tsv"))
        text = (results / METADATA).read_text()
        assert METADATA + '"' not in json.dumps(json.loads(text)["@graph"][0].get("hasPart"))
    crate = ROCrate(results)
    assert crate.name == "Results of gradspec"
    assert crate.dereference("figures/a.png")["contentSize"] == "7"
    write_crate(results, read_summary(results.parent / "summary.tsv"))
    assert (results / METADATA).read_text() == text


def test_an_unfinished_run_and_another_table_are_refused(results: Path) -> None:
    (results.parent / "summary.tsv").write_text("a\tb\n1\t2\n")
    with pytest.raises(ConfigError, match="make crate"):
        read_summary(results.parent / "summary.tsv")
    (results / "environment.json").unlink()
    with pytest.raises(ConfigError, match="let the workflow end"):
        write_crate(results, [])
