"""A change of the code makes exactly those jobs run again whose results it may change."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from makers import make_fmriprep
from running import PROJECT, ROOT, snakemake, write_config

from gradspec.code import hash_code

FIGURES = {"plot_spectra", "plot_group_differences", "plot_components", "write_explorer"}


def clone(folder: Path) -> Path:
    """Copy what a clone holds, so that its code may be changed."""
    folder.mkdir()
    ignored = shutil.ignore_patterns("__pycache__")
    for name in PROJECT:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return a clone in which every output is there, as if the workflow had run, and its configuration."""
    folder = clone(tmp_path_factory.mktemp("clone") / "clone")
    root = make_fmriprep(folder / "derivatives", 4)
    config = {
        "cohort": {
            "source": "fmriprep",
            "group": {"column": "group", "levels": ["control", "patient"]},
            "covariates": [],
            "fmriprep": {"root": str(root), "participants": str(root / "participants.tsv")},
        },
        "training": {"models": {"mlp": {}}, "folds": 2, "repeats": 1},
    }
    name = write_config(folder, config)
    plan = snakemake(folder, "-n", "--configfile", name)
    assert plan.returncode == 0, plan.stderr
    for line in re.findall(r"^    output: (.*)$", plan.stdout + plan.stderr, flags=re.MULTILINE):
        for output in line.split(", "):
            path = folder / output.partition(" ")[0]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch() if path.suffix else path.mkdir(exist_ok=True)
    done = snakemake(folder, "--touch", "--cores", "1", "--configfile", name)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, name


@pytest.fixture
def edit(finished: tuple[Path, str]) -> Iterator:
    """Give a function that edits files of the clone and names the rules that would run; all is undone after."""
    folder, name = finished
    before: dict[Path, str] = {}

    def rules_after(file: str, old: str, new: str) -> set[str]:
        path = folder / "workflow" / file
        text = before.setdefault(path, path.read_text(encoding="utf-8"))
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        plan = snakemake(folder, "-n", "--quiet", "rules", "--configfile", name)
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
        assert {"group_ica", "participant_components", "train_fold", "test_groups"} | FIGURES <= rules
        assert not {"check_cohort", "denoise_participant", "group_mask", "select_participants"} & rules

    def test_a_figure_makes_itself_run_alone(self, edit) -> None:
        assert edit("gradspec/figures/spectra.py", "import ", "CHANGED = True\nimport ") == {"plot_spectra"}
        assert edit("gradspec/figures/explore.html", "<body", "<!-- changed --><body") == {
            "plot_spectra",
            "write_explorer",
        }

    def test_a_script_makes_its_rule_run(self, edit) -> None:
        rules = edit("scripts/stats/score_models.py", "from gradspec.files", "CHANGED = True\nfrom gradspec.files")
        assert "score_models" in rules
        assert not {"train_fold", "test_groups", "plot_spectra"} & rules


LIBRARY = {
    "__init__.py": "__version__ = '1'",
    "ica/__init__.py": "",
    "ica/group.py": "import typing as t\nif t.TYPE_CHECKING:\n    import gradspec.stats\nfrom gradspec import errors",
    "errors.py": "class Error(Exception): ...",
    "figures/__init__.py": "",
    "figures/page.py": "PAGE = 'page.html'",
    "figures/page.html": "<p>",
    "stats.py": "N = 1",
}
SCRIPT = """
from gradspec.ica.group import fit

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
