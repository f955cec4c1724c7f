"""Which runs raw BIDS has: folders that are no participant's, ignored files, sidecars that are inherited."""

import subprocess
from pathlib import Path

import pytest
from bids import BIDSLayout
from checking import examine_and_check
from hypothesis import given, settings
from hypothesis import strategies as st
from makers import GRID, make_bids, make_config, make_image, make_json

from gradspec.cohort.ignore import read_bidsignore
from gradspec.cohort.layout import ImageFile
from gradspec.cohort.plan import plan_cohort
from gradspec.cohort.raw import find_raw
from gradspec.cohort.sidecars import find_sidecars, read_sidecars


def section(root, **keys):
    return make_config("bids", bids={"root": str(root), **keys})["cohort"]["bids"]


@pytest.mark.parametrize(
    ("foreign", "ignore"),
    [
        ("excluded/sub-01/func/sub-01_task-rest_run-3_bold.nii.gz", ""),
        ("fmriprep/sub-01/func/sub-01_task-rest_space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz", ""),
        ("derivatives/fmriprep/sub-01/func/sub-01_task-rest_desc-preproc_bold.nii.gz", ""),
        ("sourcedata/sub-01/func/sub-01_task-rest_bold.nii.gz", ""),
        ("sub-01/func/sub-01_task-rest_run-2_bold.nii.gz", "*_run-2_bold.nii.gz\n"),
        ("sub-01/excluded/sub-01_task-movie_bold.nii.gz", "# set aside\n**/excluded/\n"),
        ("sub-01/func/sub-01_task-movie_bold.nii.gz", "sub-01/func/*movie*\n"),
    ],
)
def test_what_is_not_a_participants_or_is_ignored_takes_no_part_in_planning_nor_in_the_check(tmp_path, foreign, ignore):
    make_bids(tmp_path)
    make_image(tmp_path / foreign, (*GRID, 40), repetition_time=3.0)
    (tmp_path / ".bidsignore").write_text(ignore)
    config = make_config("bids", bids={"root": str(tmp_path)})
    assert str(tmp_path / foreign) not in plan_cohort(config).files["sub-01"]
    participants, runs = examine_and_check(config)
    assert list(participants["status"]) == ["included"] * 4
    assert list(participants["n_runs"]) == [1] * 4
    assert str(tmp_path / foreign) not in set(runs["bold"])


def test_broken_files_of_foreign_folders_are_not_looked_at(tmp_path):
    make_bids(tmp_path)
    (tmp_path / "code").mkdir()
    (tmp_path / "code/task-rest_bold.json").write_text("{not json")
    participants, _ = examine_and_check(make_config("bids", bids={"root": str(tmp_path)}))
    assert list(participants["status"]) == ["included"] * 4


def test_planning_lists_the_sidecars_that_are_inherited(tmp_path):
    root = make_bids(tmp_path, tasks=("rest", "nback"), inherited_sidecar=True)
    config = make_config("bids", bids={"root": str(root), "task": "rest"})
    assert [str(Path(path).relative_to(root)) for path in plan_cohort(config).files["sub-01"]] == [
        "sub-01/func/sub-01_task-rest_bold.nii.gz",
        "task-rest_bold.json",
        "sub-01/anat/sub-01_T1w.nii.gz",
    ]


def test_an_ignored_sidecar_says_nothing(tmp_path):
    root = make_bids(tmp_path, inherited_sidecar=True)
    make_json(root / "sub-01/sub-01_task-rest_bold.json", {"RepetitionTime": 9.0})
    (root / ".bidsignore").write_text("sub-01/*.json\n")
    (run,) = find_raw(root, ["sub-01"], section(root))["sub-01"]
    assert read_sidecars(run)["RepetitionTime"] == 2.0


@pytest.mark.parametrize(
    "names",
    [
        ("task-rest_bold.json", "task-nback_bold.json", "task-rest_T1w.json"),
        ("bold.json", "sub-01/sub-01_bold.json", "sub-02/sub-02_bold.json"),
        ("task-rest_bold.json", "sub-01/sub-01_ses-2_bold.json", "sub-01/ses-1/sub-01_ses-1_task-rest_bold.json"),
        ("bold.json", *(f"sub-01/ses-1/func/sub-01_ses-1_task-rest_run-{run}_bold.json" for run in (1, 2))),
    ],
)
def test_sidecars_are_inherited_as_pybids_does(tmp_path, names):
    root = make_bids(tmp_path, 1, sessions=("1",), runs=("1",), inherited_sidecar=True)
    (root / "task-rest_bold.json").unlink()
    for number, name in enumerate(names):
        make_json(root / name, {"Shared": number, f"Own{number}": name})
    (run,) = find_raw(root, ["sub-01"], section(root))["sub-01"]
    assert read_sidecars(run) == BIDSLayout(root, validate=False).get_metadata(str(run.bold))


def test_of_two_sidecars_in_a_folder_the_one_with_more_entities_wins():
    image, *others = (
        ImageFile.from_path(f"/data/{name}")
        for name in ("sub-01/func/sub-01_task-rest_bold.nii.gz", "task-rest_bold.json", "bold.json")
    )
    assert [path.name for path in find_sidecars(image, others)] == ["bold.json", "task-rest_bold.json"]


LINES = st.sampled_from(
    [
        *(
            "excluded",
            "excluded/",
            "/excluded",
            "sub-01/func",
            "sub-01/func/",
            "*_run-2_bold.nii.gz",
            "**/func/*run-1*",
        ),
        *(
            "sub-01/**",
            "**/excluded/**",
            "a/**/b",
            "!*_run-2_*",
            "!excluded/",
            "sub-0[12]/",
            "sub-0[!1]",
            "su?-01",
            "#x",
        ),
        *("", "*.json", "/*.json", "\\#x", "x.y", "*"),
    ]
)
PATHS = (
    *("excluded", "excluded/sub-01/func/x_run-2_bold.nii.gz", "sub-01/func/sub-01_run-1_bold.nii.gz", "a/b", "a/c/d/b"),
    *(
        "sub-01/func/sub-01_run-2_bold.nii.gz",
        "sub-02/excluded/a.txt",
        "sub-03/x.json",
        "task.json",
        "#x",
        "xzy",
        "x.y",
    ),
)


@settings(max_examples=60, deadline=None)
@given(lines=st.lists(LINES, max_size=5))
def test_bidsignore_means_what_gitignore_means_to_git(tmp_path_factory, lines):
    root = tmp_path_factory.mktemp("data")
    subprocess.run(["git", "init", "--quiet", root], check=True)
    for name in (".bidsignore", ".gitignore"):
        (root / name).write_text("\n".join(lines), encoding="utf-8")
    command = ["git", "-C", root, "-c", "core.excludesFile=", "check-ignore", "--no-index", "--stdin"]
    expected = subprocess.run(command, input="\n".join(PATHS), capture_output=True, text=True).stdout.splitlines()
    ignored = read_bidsignore(root)
    assert [path for path in PATHS if ignored(root / path)] == expected
