"""The rules only declare: each names its inputs, outputs, log, benchmark, environment and resources."""

import re
from pathlib import Path

import pytest
import yaml
from running import ROOT

WORKFLOW = ROOT / "workflow"
CATEGORIES = [
    "1 Overview",
    "2 Cohort",
    "3 Quality control",
    "4 Components",
    "5 Connectivity",
    "6 Training",
    "7 Spectra",
    "8 Group statistics",
    "9 Ground truth",
]
STAGES = ["fetch", "cohort", "preprocess", "selection", "ica", "training", "spectra", "stats", "figures", "look"]


def rules() -> list:
    """Give every rule as (stage, name, text)."""
    found = []
    for stage in STAGES:
        text = (WORKFLOW / "rules" / f"{stage}.smk").read_text()
        parts = re.split(r"^rule (\w+):\n", text, flags=re.MULTILINE)[1:]
        found += [pytest.param(stage, name, body, id=name) for name, body in zip(parts[::2], parts[1::2], strict=True)]
    return found


@pytest.mark.parametrize(("stage", "name", "text"), rules())
def test_a_rule_declares_all_that_the_house_asks_for(stage: str, name: str, text: str) -> None:
    for directive in (
        "output:",
        "log:",
        "benchmark:",
        "conda:",
        "threads:",
        "resources:",
        "mem_mb=",
        "runtime=",
        "script:",
    ):
        assert directive in text, f"{name} has no {directive}"
    assert f'"../../envs/{stage}.yaml"' in text
    assert f'"../scripts/{stage}/{name}.py"' in text
    assert f"<logs>/{stage}/{name}" in text
    assert f"<benchmarks>/{stage}/{name}" in text
    assert not re.search(r"^    (run|shell):", text, flags=re.MULTILINE)
    for block in re.findall(r"^    (?:input|output):\n((?:        .*\n)+)", text, flags=re.MULTILINE):
        unnamed = [
            line
            for line in block.splitlines()
            if re.match(r" {8}\S", line) and not re.match(r" {8}(\w+=|unpack\(|\))", line)
        ]
        assert not unnamed, f"{name}: every input and output has a name: {unnamed}"


@pytest.mark.parametrize(("stage", "name", "text"), rules())
def test_a_rule_has_its_script_and_the_script_is_thin(stage: str, name: str, text: str) -> None:
    script = WORKFLOW / "scripts" / stage / f"{name}.py"
    lines = script.read_text().splitlines()
    assert len(lines) <= 60
    assert lines[0].startswith('"""')
    assert "start(snakemake.log[0], snakemake.threads)" in lines


@pytest.mark.parametrize(("stage", "name", "text"), rules())
def test_every_caption_is_there_and_says_something(stage: str, name: str, text: str) -> None:
    for caption in re.findall(r'caption="\.\./report/(\S+)"', text):
        assert len((WORKFLOW / "report" / caption).read_text().split()) > 15


@pytest.mark.parametrize(("stage", "name", "text"), rules())
def test_results_in_the_report_are_in_a_category_that_is_numbered_by_stage(stage: str, name: str, text: str) -> None:
    categories = re.findall(r'category="([^"]+)"', text)
    assert [category for category in categories if category not in CATEGORIES] == []


def test_no_script_is_without_a_rule() -> None:
    scripts = {
        path.relative_to(WORKFLOW / "scripts").with_suffix("").as_posix()
        for path in (WORKFLOW / "scripts").rglob("*.py")
    }
    assert scripts == {f"{param.values[0]}/{param.values[1]}" for param in rules()}


@pytest.mark.parametrize("stage", STAGES)
def test_an_environment_is_pinned_and_closed_against_defaults(stage: str) -> None:
    spec = yaml.safe_load((ROOT / "envs" / f"{stage}.yaml").read_text())
    assert spec["channels"] == ["conda-forge", "nodefaults"]
    packages = [entry for entry in spec["dependencies"] if isinstance(entry, str) and entry != "pip"]
    assert all(re.fullmatch(r"[\w.-]+ (=|<)\S+", entry) for entry in packages)


def library_imports(path: Path) -> set[str]:
    return set(re.findall(r"^\s*(?:from|import) gradspec\.(\w+)", path.read_text(), flags=re.MULTILINE))


def test_imports_run_one_way() -> None:
    order = [
        "cohort",
        "fetch",  # reads in the config which groups and participants are wanted
        "preprocess",
        "selection",
        "ica",
        "capture",
        "models",
        "training",
        "spectra",
        "stats",
        "figures",
        "look",
    ]
    for position, stage in enumerate(order):
        for file in (WORKFLOW / "gradspec" / stage).rglob("*.py"):
            later = library_imports(file) & set(order[position + 1 :])
            assert not later, f"{file} imports the later stage {later}"
    for file in (WORKFLOW / "gradspec" / "capture").rglob("*.py"):
        assert library_imports(file) <= {"capture"}, f"{file}: capture imports nothing else of gradspec"


@pytest.mark.parametrize("stage", STAGES[:4])
def test_data_walk_forward(stage: str) -> None:
    """Until the selection; components of a fold know its training participants, which are drawn later."""
    text = (WORKFLOW / "rules" / f"{stage}.smk").read_text()
    read_or_written = set(re.findall(r"<results>/(\w+)/", text))
    assert not read_or_written & set(STAGES[STAGES.index(stage) + 1 :])


def test_snakemake_never_enters_the_library() -> None:
    for file in (WORKFLOW / "gradspec").rglob("*.py"):
        assert not re.search(r"^\s*(from|import) snakemake", file.read_text(), flags=re.MULTILINE)
