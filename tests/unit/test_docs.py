"""The documentation builds without network, and what it says to type, write and expect is there."""

import ast
import html
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from running import ROOT

from gradspec.config import resolve
from gradspec.models.own import check_own_models
from gradspec.models.registry import build_model

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
# Sphinx in a process that cannot reach anything.
BUILD = """
import socket, sys
def refuse(*_): raise OSError("the documentation must build without network")
socket.socket.connect = socket.getaddrinfo = refuse
from sphinx.cmd.build import main
sys.exit(main(["--builder", "html", "--fail-on-warning", "--keep-going", "--quiet", *sys.argv[1:]]))
"""


def blocks(page: Path, language: str) -> list[str]:
    """Give the code blocks of a page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Give every line of every shell block."""
    return [line for page in PAGES for block in blocks(page, "bash") for line in block.splitlines()]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the built documentation."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(DOCS), str(folder)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ""},
    )
    assert done.returncode == 0, done.stderr
    return folder


class TestSite:
    def test_every_page_is_built(self, site: Path) -> None:
        assert all((site / page.relative_to(DOCS)).with_suffix(".html").is_file() for page in PAGES)

    def test_a_page_opens_without_network(self, site: Path) -> None:
        for page in PAGES:
            text = (site / page.relative_to(DOCS)).with_suffix(".html").read_text(encoding="utf-8")
            loaded = re.findall(r"<(?:script|img|iframe)[^>]*\ssrc=\"([^\"]+)\"|<link[^>]*\shref=\"([^\"]+)\"", text)
            assert loaded
            assert not [address for pair in loaded for address in pair if re.match(r"(https?:)?//", address)], page

    def test_formulas_are_written_out(self, site: Path) -> None:
        page = (site / "explanation" / "method.html").read_text(encoding="utf-8")
        assert page.count("<math") > 10
        assert "<mi>Δ</mi>" in html.unescape(page)

    def test_keys_features_and_messages_are_those_of_the_code(self, site: Path) -> None:
        config, outputs, messages = (
            (site / "reference" / f"{name}.html").read_text(encoding="utf-8")
            for name in ("config", "outputs", "messages")
        )
        assert "cohort.simulated.effect" in config
        assert "participation_ratio" in outputs
        assert "lower training.folds or look into selection/excluded.tsv" in messages


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.stem)
def test_python_of_a_page_is_complete(page: Path) -> None:
    compile("\n".join(blocks(page, "python")), str(page), "exec")


def test_the_loop_of_ones_own_runs_as_it_is_written(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks(DOCS / "howto" / "own-loop.md", "python"))],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "workflow")},
    )
    assert done.returncode == 0, done.stderr
    assert "captured" in done.stdout


def test_the_network_of_ones_own_is_accepted_as_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = DOCS / "howto" / "own-network.md"
    (tmp_path / "mynetworks.py").write_text("\n".join(blocks(page, "python")))
    monkeypatch.syspath_prepend(tmp_path)
    models = resolve(yaml.safe_load("\n".join(blocks(page, "yaml"))))["training"]["models"]
    check_own_models(models)
    assert build_model("widest", (9, 4), models["widest"]).volume.out_features == 32


def test_configs_that_pages_show_are_valid() -> None:
    shown = [yaml.safe_load(block) for page in PAGES for block in blocks(page, "yaml")]
    shown = [config for config in shown if "cohort" in config]
    assert shown
    for config in shown:
        resolve(config)


def test_the_cohort_without_effect_of_the_tutorial_differs_in_that_alone(tmp_path: Path) -> None:
    (edit,) = [line for line in commands() if line.startswith("sed ")]
    (tmp_path / "config").symlink_to(ROOT / "config")
    subprocess.run(["bash", "-c", edit], cwd=tmp_path, check=True)
    demo, edited = (
        resolve(yaml.safe_load(path.read_text()))
        for path in (ROOT / "config" / "config.yaml", tmp_path / "no-effect.yaml")
    )
    demo["results"] = "results/no-effect"
    demo["cohort"]["simulated"]["effect"] = 0.0
    assert edited == demo


def test_commands_name_configs_targets_and_modules_that_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^rule (\w+):", (ROOT / "workflow" / "Snakefile").read_text(), re.MULTILINE)
    for line in commands():
        for config in re.findall(r"--configfile (config/\S+)", line):
            assert (ROOT / config).is_file(), line
        for profile in re.findall(r"--profile (\S+)", line):
            folder = ROOT / "workflow" / "profiles" if line.startswith("gradspec ") else ROOT
            assert (folder / profile / "config.yaml").is_file(), line
        for command in re.findall(r"^gradspec (\S+)", line):
            assert f'command("{command}"' in (ROOT / "workflow" / "gradspec" / "__main__.py").read_text(), line
        for target in re.findall(r"^make ([a-z-]+)", line):
            assert f"\n{target}:" in makefile, line
        for target in re.findall(r"^snakemake ([a-z]\w*)", line):
            assert target in targets, line
        for module in re.findall(r"python -m (gradspec\.\S+|benchmarks\.\S+)", line):
            path = module.replace(".", "/") + ".py"
            assert (ROOT / path).is_file() or (ROOT / "workflow" / path).is_file(), line


def test_messages_that_troubleshooting_explains_are_in_the_code() -> None:
    page = (DOCS / "howto" / "troubleshooting.md").read_text(encoding="utf-8")
    quoted = re.findall(r"^`([^`]+)`$", page, re.MULTILINE)
    assert len(quoted) > 10
    strings = [
        node.value
        for path in (ROOT / "workflow" / "gradspec").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert [text for text in quoted if not any(text in string for string in strings)] == []


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.stem)
def test_pictures_are_there_small_and_told_in_words(page: Path) -> None:
    for words, path in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        assert len(words) > 40, path
        assert (page.parent / path).stat().st_size < 300_000


def test_the_main_figure_is_shown_first() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.index("docs/_static/main-figure.png") < readme.index("## Two commands")


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")), ids=lambda page: page.stem)
def test_files_that_a_page_at_the_root_links_to_are_there(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_forms_and_settings_of_services_are_yaml_that_can_be_read() -> None:
    files = [*(ROOT / ".github").rglob("*.yml"), ROOT / ".readthedocs.yaml", ROOT / ".snakemake-workflow-catalog.yml"]
    assert len(files) > 4
    assert all(isinstance(yaml.safe_load(file.read_text()), dict) for file in files)
