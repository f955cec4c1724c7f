"""The look before a run: who would be used, what is missing, what would be trained, and the page that says so."""

import pandas as pd
import pytest
from figure_inputs import HOSTILE_NAME
from makers import GRID, make_bids, make_config, make_image, make_participants, make_timeseries

from gradspec.files import read_table, write_json, write_table
from gradspec.look.design import plan_design
from gradspec.look.page import write_page
from gradspec.look.people import describe_look, look_at_cohort

LEVELS = ["control", "patient"]


def make_cohort(folder, suffix=".1D", n_volumes=None, **changes):
    table = make_timeseries(folder, 8, suffix=suffix)
    rows = pd.read_csv(table, sep="\t", dtype=str)
    rows.loc[0, "group"], rows.loc[1, "group"], rows.loc[2, "age"] = "Control", "Bipolar", "n/a"
    rows.to_csv(table, sep="\t", index=False, na_rep="n/a")
    (folder / "series" / f"sub-04{suffix}").unlink()
    section = {"participants": str(table), "orientation": "volumes-in-rows", **changes}
    return make_config("timeseries", covariates=["age"], n_volumes=n_volumes, timeseries=section)


def page_of(folder, look, config):
    write_page(look, plan_design(look, config), folder / "check.html", levels=LEVELS, config_file="my.yaml")
    return (folder / "check.html").read_text(encoding="utf-8")


def test_every_row_of_the_table_is_told_of(tmp_path):
    look = look_at_cohort(make_cohort(tmp_path))
    people = look.people.set_index("participant_id")
    assert people["used"].to_list() == ["in neither group", "in neither group", "yes", "no", *["yes"] * 4]
    assert people.loc["sub-01", "why"] == (
        "group = 'Control' belongs to no group; if it should, add it to cohort.group.levels"
    )
    assert "sub-04.1D: is missing; correct the path" in people.loc["sub-04", "why"]
    assert people.loc["sub-03", ["missing", "n_volumes", "size", "line"]].to_list() == ["age", "50", "6 regions", 4]
    assert look.obstacle is None
    assert any("differs from 'control' by case" in remark for remark in look.remarks)
    write_table(look.people, tmp_path / "check.tsv", describe_look(look.covariates))
    assert list(read_table(tmp_path / "check.tsv")["used"]) == look.people["used"].to_list()


@pytest.mark.parametrize(
    ("changes", "obstacle", "used"),
    [
        ({"orientation": "auto"}, None, "yes"),
        ({"n_volumes": 60}, "a group has fewer than two left", "no"),
    ],
)
def test_a_cohort_that_would_stop_has_a_page_that_says_why(tmp_path, changes, obstacle, used):
    config = make_cohort(tmp_path, **changes)
    look = look_at_cohort(config)
    assert (obstacle is None) if look.obstacle is None else (obstacle in look.obstacle)
    assert look.people.set_index("participant_id").loc["sub-03", "used"] == used
    assert ("The run would stop" in page_of(tmp_path, look, config)) == (obstacle is not None)


def test_where_the_data_set_is_refused_as_a_whole_nothing_is_known_of_anybody(tmp_path):
    look = look_at_cohort(make_cohort(tmp_path, suffix=".npy", orientation="auto"))
    assert "nothing says whether its 50 rows are volumes or regions" in look.obstacle
    assert set(look.people["used"]) == {"not known", "in neither group"}


def test_fewer_participants_than_folds_would_stop_the_run(tmp_path):
    config = make_cohort(tmp_path)
    config["training"]["folds"] = 4
    assert "training.folds is 4, but group 'control', 'patient'" in look_at_cohort(config).obstacle.replace(
        " and ", ", "
    )


def test_of_images_only_the_headers_are_read(tmp_path):
    root = make_bids(tmp_path / "data", 6, n_volumes=40)
    cut = root / "sub-03" / "func" / "sub-03_task-rest_bold.nii.gz"
    cut.write_bytes(cut.read_bytes()[:-2000])
    look = look_at_cohort(make_config("bids", bids={"root": str(root), "task": "rest"}))
    assert set(look.people["used"]) == {"yes"}
    assert look.people["size"].iloc[0] == "4 × 5 × 6 voxels of 3 × 3 × 3 mm"
    assert look.people["n_volumes"].iloc[0] == "40"


def test_the_design_counts_trainings_and_takes_their_time_from_earlier_runs(tmp_path):
    config = make_cohort(tmp_path)
    config["results"] = str(tmp_path)
    config["training"].update(folds=2, repeats=3)
    config["stats"]["permutation"].update(retraining=49, per_job=10)
    look = look_at_cohort(config)
    design = plan_design(look, config)
    assert (design.n_trainings, design.n_permuted, design.fewest_in_fold) == (6, 6 * 49, 1)
    assert design.n_training == 2  # groups of three and two, two of each, half of them
    assert design.seconds is None
    for rule, seconds in (("train_folds", 10.0), ("retrain_folds", 4.0)):
        file = tmp_path / "benchmarks" / "training" / rule / "mlp" / "repeat-0.tsv"
        file.parent.mkdir(parents=True)
        pd.DataFrame({"s": [seconds]}).to_csv(file, sep="\t", index=False)
    assert plan_design(look, config).seconds is None  # nobody knows with which settings they were measured
    write_json(config, tmp_path / "config.json")
    assert plan_design(look, config).seconds == 3 * 10 + 3 * 5 * 4
    assert "core hours" in page_of(tmp_path, look, config)
    config["training"]["epochs"] = 3000
    assert plan_design(look, config).seconds is None


def test_a_run_that_is_left_out_is_told_of_beside_those_that_are_used(tmp_path):
    root = make_bids(tmp_path / "data", 6, runs=("1", "2"))
    short = root / "sub-01" / "func" / "sub-01_task-rest_run-2_bold.nii.gz"
    make_image(short, (*GRID, 20))
    look = look_at_cohort(make_config("bids", bids={"root": str(root), "task": "rest"}))
    first = look.people.iloc[0]
    assert (first["used"], first["n_runs"]) == ("yes", 1)
    assert "left out: " in first["note"] and "run-2_bold.nii.gz: has 20 volumes" in first["note"]


def test_who_has_no_site_stops_the_look_as_it_stops_the_run(tmp_path):
    table = make_timeseries(tmp_path, 8)
    rows = pd.read_csv(table, sep="\t", dtype=str).assign(site=["a", "a", "b", "b"] * 2)
    rows.loc[0, "site"] = "n/a"
    rows.to_csv(table, sep="\t", index=False, na_rep="n/a")
    section = {"participants": str(table), "orientation": "volumes-in-rows"}
    config = make_config("timeseries", covariates=["site"], timeseries=section)
    config["training"].update(split="leave-site-out", site="site", folds=2)
    look = look_at_cohort(config)
    assert "sub-01" in look.obstacle and "'site'" in look.obstacle
    assert "snakemake --cores" not in page_of(tmp_path, look, config)


def test_motion_that_the_run_will_measure_is_not_missing(tmp_path):
    root = make_bids(tmp_path / "data", 6)
    config = make_config("bids", covariates=["age", "mean_fd"], bids={"root": str(root), "task": "rest"})
    look = look_at_cohort(config)
    assert look.people["missing"].isna().all()
    assert "<td>mean_fd</td><td>measured in the run</td>" in page_of(tmp_path, look, config)


def test_values_of_several_runs_and_codes_are_counted_by_value(tmp_path):
    root = make_bids(tmp_path / "data", 6, runs=("1", "2"))
    table = pd.read_csv(root / "participants.tsv", sep="\t", dtype=str).assign(sex=["1", "1", "2", "2", "2", "1"])
    table.to_csv(root / "participants.tsv", sep="\t", index=False)
    config = make_config("bids", covariates=["sex"], bids={"root": str(root), "task": "rest"})
    text = page_of(tmp_path, look_at_cohort(config), config)
    assert "<td>sex</td><td>2: 2, 1: 1</td><td>1: 2, 2: 1</td>" in text
    assert "<td>volumes</td><td>40</td><td>40</td>" in text
    assert "1 network, 2 folds" in text


def test_a_command_can_be_copied_though_the_path_has_a_blank(tmp_path):
    config = make_cohort(tmp_path)
    look = look_at_cohort(config)
    write_page(look, plan_design(look, config), tmp_path / "a.html", levels=LEVELS, config_file="my config.yaml")
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "--configfile &#x27;my config.yaml&#x27;" in text and "make run" not in text


def test_names_are_never_read_as_html(tmp_path):
    make_timeseries(tmp_path, 6)
    files = [f"series/sub-0{number + 1}.1D" for number in range(6)]
    table = make_participants(tmp_path / "participants.tsv", 6, timeseries=files, files=[HOSTILE_NAME] * 6)
    config = make_config(
        "timeseries",
        covariates=["files"],
        timeseries={"participants": str(table), "orientation": "volumes-in-rows"},
    )
    text = page_of(tmp_path, look_at_cohort(config), config)
    assert "<td>covariate files" not in text and '<th scope="col">covariate files</th>' in text
    assert HOSTILE_NAME not in text and "onerror=alert(1)&gt;" in text
    assert "gradspec run my.yaml" in text
