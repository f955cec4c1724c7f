"""A change of the code makes exactly those jobs run again whose results it may change."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import SMALL, copy_clone, snakemake

from gradspec.code import hash_code

FIGURES = {"plot_spectra", "plot_group_differences", "plot_components", "write_explorer"}


@pytest.fixture(scope="module")
def finished(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a clone of its own code with the results of a run and what Snakemake knows of it."""
    folder = copy_clone(tmp_path_factory.mktemp("clone") / "clone")
    for name in ("results", ".snakemake"):
        shutil.copytree(demo / name, folder / name, copy_function=os.link)
    return folder


@pytest.fixture
def edit(finished: Path) -> Iterator:
    """Give a function that edits a file of the clone and names the rules that would run; all is undone after."""
    before: dict[Path, str] = {}

    def rules_after(file: str, old: str, new: str) -> set[str]:
        path = finished / "workflow" / file
        text = before.setdefault(path, path.read_text(encoding="utf-8"))
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        plan = snakemake(finished, "-n", "--quiet", "rules", "--configfile", SMALL)
        assert plan.returncode == 0, plan.stderr
        return set(re.findall(r"^(\w+) +\d+$", plan.stdout + plan.stderr, flags=re.MULTILINE)) - {"all", "total"}

    yield rules_after
    for path, text in before.items():
        path.write_text(text, encoding="utf-8")


@pytest.mark.slow
class TestReruns:
    def test_comments_make_nothing_run(self, edit) -> None:
        assert edit("gradspec/ica/group.py", '"""', '"""Said in other words. ') == set()
        assert edit("scripts/ica/group_ica.py", "settings =", "# a comment\nsettings =") == set()

    def test_ica_makes_ica_and_what_follows_run(self, edit) -> None:
        rules = edit("gradspec/ica/group.py", "import numpy as np\n", "import numpy as np\n\nCHANGED = True\n")
        assert {"group_ica", "participant_components", "train_folds", "test_groups"} | FIGURES <= rules
        assert not {"preprocess_participant", "denoise_participant", "group_mask", "select_participants"} & rules

    def test_a_figure_makes_itself_run_alone(self, edit) -> None:
        assert edit("gradspec/figures/calibration.py", "import pandas", "CHANGED = True\nimport pandas") == {
            "plot_calibration"
        }
        assert edit("gradspec/figures/explore.html", "<body", "<!-- changed --><body") == {
            "plot_calibration",
            "write_explorer",
        }

    def test_a_script_makes_its_rule_run(self, edit) -> None:
        rules = edit("scripts/stats/score_models.py", "from gradspec.files", "CHANGED = True\nfrom gradspec.files")
        assert "score_models" in rules
        assert not {"train_folds", "test_groups", "plot_spectra"} & rules


LIBRARY = {
    "__init__.py": "__version__ = '1'",
    "ica/__init__.py": "",
    "ica/group.py": "import typing as t\nif t.TYPE_CHECKING:\n    import gradspec.stats\nfrom gradspec import errors",
    "errors.py": "class Error(Exception): ...",
    "figures/__init__.py": "",
    "figures/page.py": "PAGE = 'page.html'",
    "figures/page.html": "<p>",
    "stats.py": "N = 1",
    "job.py": "def start(): ...",
}
SCRIPT = """
from gradspec.ica.group import fit
from gradspec.job import start

def late():
    import gradspec.figures.page
"""


@pytest.mark.parametrize(
    ("file", "text", "counts"),
    [
        ("ica/group.py", "X = 1", True),
        ("ica/__init__.py", "X = 1", True),  # importing a module runs its package
        ("errors.py", "class Error(ValueError): ...", True),  # through a module
        ("figures/page.py", "X = 1", True),  # within a function
        ("figures/page.html", "<b>", True),  # no module, but named by one
        ("errors.py", "class Error(Exception): ...  # comment\n", False),
        ("errors.py", "'''Said.'''\nclass Error(Exception): ...", False),
        ("stats.py", "N = 2", False),  # read by type checkers only
        ("__init__.py", "__version__ = '2'", False),
        ("job.py", "def start(): print()", False),  # writes the log
    ],
)
def test_the_hash_is_of_what_the_script_can_come_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, text: str, counts: bool
) -> None:
    def hash_with(name: str, changed: dict[str, str]) -> str:
        library = tmp_path / name / "gradspec"
        for path, content in (LIBRARY | changed).items():
            (library / path).parent.mkdir(parents=True, exist_ok=True)
            (library / path).write_text(content)
        monkeypatch.setattr("gradspec.code._FOLDER", library)
        (tmp_path / name / "script.py").write_text(SCRIPT)
        return hash_code(tmp_path / name / "script.py")

    assert (hash_with("before", {}) != hash_with("after", {file: text})) == counts
