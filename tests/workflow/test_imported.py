"""In another workflow, and from another folder: the importer keeps its rules, and each import its own results."""

import json
from pathlib import Path
from typing import Any

import pytest
from running import ROOT, make_workdir, snakemake, write_config

IMPORTER = """
rule all:
    input: "mine.txt"

rule before:
    output: "before.txt"
    shell: "touch {output}"

module first:
    snakefile: "ENTRY"
    config: config["first"]

use rule * from first as first_*

module second:
    snakefile: "ENTRY"
    config: config["second"]
    pathvars:
        results="elsewhere"

use rule * from second as second_*

rule mine:
    input: "results of one/config.json", "elsewhere/config.json", "before.txt"
    output: "mine.txt"
    shell: "touch {output}"
"""


def numerical(**training: Any) -> dict[str, Any]:
    """Return a small configuration that needs no files."""
    section = {"kind": "gaussian-mixture", "n_samples": 16, "n_features": 6}
    return {
        "cohort": {"source": "numerical", "numerical": section},
        "training": {"models": {"mlp": {}}, "folds": 2, "repeats": 1, **training},
    }


@pytest.fixture(scope="module")
def importer(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Write a workflow that imports ours twice, with two configurations; the folder and the config."""
    folder = tmp_path_factory.mktemp("importer")
    (folder / "Snakefile").write_text(IMPORTER.replace("ENTRY", str(ROOT / "workflow" / "Snakefile")))
    wide = numerical(models={"wide": {"class": "mlp", "args": {"hidden": [32]}}}, epochs=3)
    config = {"first": {"results": "results of one", **numerical()}, "second": {"results": "unused", **wide}}
    return folder, write_config(folder, config)


def test_the_importers_own_first_rule_is_made_and_each_import_writes_its_own(importer: tuple[Path, str]) -> None:
    folder, config = importer
    done = snakemake(folder, "--cores", "2", "--configfile", config)
    assert done.returncode == 0, done.stderr[-4000:]
    assert (folder / "mine.txt").is_file()
    first, second = (
        json.loads((folder / name / "config.json").read_text()) for name in ("results of one", "elsewhere")
    )
    assert (first["results"], list(first["training"]["models"])) == ("results of one", ["mlp"])
    assert (second["results"], list(second["training"]["models"])) == ("elsewhere", ["wide"])
    for results in ("results of one", "elsewhere"):
        assert (folder / results / "logs" / "cohort" / "check_cohort.log").is_file()
        assert (folder / results / "benchmarks" / "cohort" / "check_cohort.tsv").is_file()
    left = {path.name for path in folder.iterdir()} - {"Snakefile", ".snakemake", Path(config).name}
    assert left == {"mine.txt", "before.txt", "results of one", "elsewhere"}
    again = snakemake(folder, "-n", "--configfile", config)
    assert "Nothing to be done" in again.stdout + again.stderr  # no parameter of ours entered the importer's rules


def test_both_imports_plan_all_that_they_have(importer: tuple[Path, str]) -> None:
    folder, config = importer
    done = snakemake(folder, "-n", "--configfile", config, "--", "first_all", "second_all")
    planned = done.stdout + done.stderr
    assert done.returncode == 0, planned
    for name, results in [("first", "results of one/spectra/mlp.nc"), ("second", "elsewhere/spectra/wide.nc")]:
        assert f"rule {name}_train_folds:" in planned
        assert results in planned
    assert "unused" not in planned


def test_from_another_folder_the_settings_of_the_project_are_read_too(tmp_path: Path) -> None:
    config = write_config(tmp_path, numerical())
    done = snakemake(tmp_path, "-n", "-s", str(ROOT / "workflow" / "Snakefile"), "--configfile", config)
    assert done.returncode == 0, done.stderr
    assert f"profile {ROOT}/workflow/profiles/default" in done.stdout + done.stderr


def test_results_of_other_settings_are_said_to_be_that_before_any_job(tmp_path: Path) -> None:
    workdir = make_workdir(tmp_path / "clone")
    (workdir / "results").mkdir()
    (workdir / "results" / "config.json").write_text(json.dumps(numerical(epochs=2)))
    done = snakemake(workdir, "-n", "--configfile", write_config(workdir, numerical(epochs=3)))
    assert done.returncode == 0, done.stderr
    assert "training.epochs: 2 → 3" in done.stdout + done.stderr
