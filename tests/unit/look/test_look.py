"""The look before a run: who would be used, what is missing, what would be trained, and the page that says so."""

import pandas as pd
import pytest
from figure_inputs import HOSTILE_NAME
from makers import make_bids, make_config, make_participants, make_timeseries

from gradspec.files import read_table, write_table
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
    assert plan_design(look, config).seconds == 3 * 10 + 3 * 5 * 4
    assert "core hours" in page_of(tmp_path, look, config)


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
