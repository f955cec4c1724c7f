"""Names of files, of people and of columns are text: they run nothing, lead nowhere, and are shown as they are."""

from pathlib import Path
from typing import Any

import pytest
from makers import make_bids, make_config, make_ids, make_participants, make_timeseries
from running import snakemake, write_config

from gradspec.cohort.plan import plan_cohort
from gradspec.errors import ConfigError

HOSTILE = [
    "../../escaped",
    "01;touch harmed",
    "$(touch harmed)",
    "`touch harmed`",
    "01\nsub-02",
    "01{subject}",
    "<img src=x onerror=alert(1)>",
    "-r f",
    "",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_an_id_that_is_no_label_is_refused(tmp_path: Path, name: str) -> None:
    table = tmp_path / "participants.tsv"
    make_participants(table, 4)
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines, "\t".join([name, *lines[1].split("\t")[1:]])]) + "\n")
    root = make_bids(tmp_path / "bids")
    with pytest.raises(
        ConfigError, match=r"line 6: (participant_id .* is (not a BIDS label|no id)|has 1 cells, but the header has 3)"
    ):
        plan_cohort(make_config("bids", bids={"root": str(root), "participants": str(table)}))


@pytest.mark.parametrize("label", ["$(touch harmed)", "rest;touch harmed", "rest\nrest", "{subject}", "<b>"])
@pytest.mark.parametrize("entity", ["task", "ses", "run"])
def test_a_file_whose_name_is_no_bids_is_refused_by_name(tmp_path: Path, entity: str, label: str) -> None:
    root = make_bids(tmp_path / "bids")
    for who in make_ids(4):
        (image,) = (root / who / "func").glob("*.nii.gz")
        parts = {"task": f"task-{label}", "ses": f"ses-{label}_task-rest", "run": f"task-rest_run-{label}"}
        image.rename(image.with_name(f"{who}_{parts[entity]}_bold.nii.gz"))
    with pytest.raises(ConfigError, match="which is not a BIDS label"):
        plan_cohort(make_config("bids", bids={"root": str(root)}))


def test_links_that_lead_in_circles_or_away_are_planned_without_end_or_harm(tmp_path: Path) -> None:
    root = make_bids(tmp_path / "bids")
    (root / "sub-01" / "circle").symlink_to(root)
    (root / "sub-02" / "away").symlink_to("/")
    plan = plan_cohort(make_config("bids", bids={"root": str(root)}))
    assert all(Path(path).is_relative_to(root / who) for who, theirs in plan.files.items() for path in theirs)


def test_names_that_a_shell_would_run_go_through_the_workflow_as_text(workdir: Path) -> None:
    table = make_timeseries(workdir / "data; touch harmed")
    nasty = "series/$(touch harmed) `touch harmed`.1D"
    (table.parent / "series" / "sub-01.1D").rename(table.parent / nasty)
    table.write_text(table.read_text().replace("series/sub-01.1D", nasty))
    config: dict[str, Any] = {
        "cohort": {
            "source": "timeseries",
            "covariates": [],
            "group": {"column": "group", "levels": ["control", "patient"]},
            "timeseries": {"participants": str(table), "repetition_time": 2.0},
        },
        "training": {"models": {"mlp": {}}, "folds": 2, "repeats": 1},
    }
    arguments = ["--cores", "1", "--configfile", write_config(workdir, config)]
    done = snakemake(workdir, *arguments, "--", "results/cohort/timecourses.nc")
    assert done.returncode == 0, done.stderr[-4000:]
    assert not list(workdir.rglob("harmed"))
    assert nasty in (workdir / "results" / "cohort" / "runs.tsv").read_text()


@pytest.mark.parametrize("part", ["<results>", "{subject}", "\n"])
def test_a_file_name_that_snakemake_would_change_is_refused(tmp_path: Path, part: str) -> None:
    table = make_timeseries(tmp_path / f"data{part}")
    with pytest.raises(ConfigError, match=r"sub-01: the file name .* rename the file, or its folder"):
        plan_cohort(make_config("timeseries", timeseries={"participants": str(table)}))


def test_a_config_with_code_in_it_is_refused_unrun(workdir: Path) -> None:
    (workdir / "code.yaml").write_text("cohort: !!python/object/apply:os.mkdir [harmed]\n")
    done = snakemake(workdir, "-n", "--configfile", "code.yaml")
    assert done.returncode != 0
    assert "Config file is not valid" in done.stdout + done.stderr
    assert not (workdir / "harmed").exists()
