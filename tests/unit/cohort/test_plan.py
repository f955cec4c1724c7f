"""What is refused before any job runs, and what the plan lists."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from makers import make_bids, make_config, make_fmriprep, make_fnc, make_ids, make_participants, make_timeseries

from gradspec.cohort.plan import plan_cohort
from gradspec.errors import ConfigError

ROOT = Path(__file__).resolve().parents[3]


def names(paths):
    return [Path(path).name for path in paths]


def test_a_bids_plan_lists_the_images_and_sidecars_of_the_runs_that_are_asked_for(tmp_path):
    make_bids(tmp_path, 4, tasks=("rest", "nback"), sessions=("1", "2"))
    plan = plan_cohort(make_config("bids", bids={"root": str(tmp_path), "task": "rest", "sessions": [2]}))
    assert plan.participants == make_ids(4)
    assert names(plan.files["sub-01"]) == [
        "sub-01_ses-2_task-rest_bold.nii.gz",
        "sub-01_ses-2_task-rest_bold.json",
        "sub-01_ses-2_T1w.nii.gz",
    ]
    assert names(plan.tables) == ["participants.tsv"]
    assert not plan.has_series


def test_an_fmriprep_plan_lists_image_sidecar_mask_and_confounds_of_one_space(tmp_path):
    make_fmriprep(tmp_path, 4, spaces=("space-MNI152NLin2009cAsym", "space-T1w"))
    plan = plan_cohort(make_config("fmriprep", fmriprep={"root": str(tmp_path)}))
    assert sorted(names(plan.files["sub-02"])) == [
        "sub-02_task-rest_desc-confounds_timeseries.tsv",
        "sub-02_task-rest_space-MNI152NLin2009cAsym_desc-brain_mask.nii.gz",
        "sub-02_task-rest_space-MNI152NLin2009cAsym_desc-preproc_bold.json",
        "sub-02_task-rest_space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz",
    ]


def test_series_are_planned_where_the_source_gives_them(tmp_path):
    table = make_timeseries(tmp_path)
    plan = plan_cohort(
        make_config(
            "timeseries",
            timeseries={"participants": str(table)},
        )
    )
    assert plan.has_series
    assert plan.files["sub-01"] == [str(tmp_path / "series/sub-01.1D")]
    assert [row["participant_id"] for row in plan.rows] == plan.participants
    assert plan_cohort(make_config("numerical")).has_series
    assert not plan_cohort(make_config("numerical", numerical={"kind": "gaussian-mixture"})).has_series


def test_a_simulated_plan_names_the_files_that_will_be_made():
    plan = plan_cohort(make_config("simulated", simulated={"n_participants": 6}))
    assert len(plan.participants) == 6
    assert plan.files == {}
    assert all("{subject}" in name for name in plan.simulated_files)


def test_only_participants_asked_for_are_planned(tmp_path):
    make_bids(tmp_path, 6)
    config = make_config("bids", bids={"root": str(tmp_path)}, participants=["sub-01", "02", "03", "04"])
    assert plan_cohort(config).participants == make_ids(4)
    with pytest.raises(ConfigError, match=r"cohort.participants: sub-77 is not in .*participants.tsv"):
        plan_cohort(make_config("bids", bids={"root": str(tmp_path)}, participants=["77"]))


def test_a_participant_without_folder_stays_in_the_plan_without_files(tmp_path):
    make_bids(tmp_path, 4)
    make_participants(tmp_path / "participants.tsv", 5)
    plan = plan_cohort(make_config("bids", bids={"root": str(tmp_path)}))
    assert plan.participants == make_ids(5)
    assert plan.files["sub-05"] == []


@pytest.mark.parametrize("folder", ["with space", "Gehirn-Übung-脳"])
def test_paths_with_spaces_and_other_letters_work(tmp_path, folder):
    root = make_bids(tmp_path / folder)
    assert len(plan_cohort(make_config("bids", bids={"root": str(root)})).files["sub-01"]) == 3
    table = make_timeseries(tmp_path / folder / "roi")
    assert plan_cohort(make_config("timeseries", timeseries={"participants": str(table)})).files["sub-01"]


@pytest.mark.parametrize("source", ["bids", "fmriprep"])
def test_a_root_that_is_not_set_missing_or_empty_is_refused_by_its_key(tmp_path, source):
    with pytest.raises(ConfigError, match=f"cohort.{source}.root is not set"):
        plan_cohort(make_config(source))
    with pytest.raises(ConfigError, match=f"cohort.{source}.root: there is no folder .*nowhere"):
        plan_cohort(make_config(source, **{source: {"root": str(tmp_path / "nowhere")}}))
    with pytest.raises(ConfigError, match=f"cohort.{source}.root: the folder .* is empty"):
        plan_cohort(make_config(source, **{source: {"root": str(tmp_path)}}))


@pytest.mark.parametrize("source", ["timeseries", "fnc"])
def test_a_table_that_is_not_set_or_missing_is_refused(tmp_path, source):
    with pytest.raises(ConfigError, match=f"cohort.{source}.participants is not set"):
        plan_cohort(make_config(source))
    with pytest.raises(ConfigError, match=r"table.tsv: there is no such table"):
        plan_cohort(make_config(source, **{source: {"participants": str(tmp_path / "table.tsv")}}))


def test_a_data_set_whose_participants_have_no_files_is_refused(tmp_path):
    make_participants(tmp_path / "participants.tsv", 4)
    with pytest.raises(ConfigError, match=r"none of the 4 participants .* has a folder"):
        plan_cohort(make_config("bids", bids={"root": str(tmp_path)}))


def test_fewer_participants_than_folds_are_refused_with_the_counts(tmp_path):
    make_bids(tmp_path, 5)
    with pytest.raises(
        ConfigError, match=r"training.folds is 3, but group 'patient' .*\(control: 3, patient: 2\).*participants.tsv"
    ):
        plan_cohort(make_config("bids", bids={"root": str(tmp_path)}, folds=3))
    with pytest.raises(ConfigError, match=r"raise cohort.simulated.n_participants or lower training.folds"):
        plan_cohort(make_config("simulated", simulated={"n_participants": 4}, folds=5))


def test_several_tasks_must_be_chosen_from(tmp_path):
    make_bids(tmp_path, tasks=("nback", "rest"))
    with pytest.raises(ConfigError, match=r"cohort.bids.task is not set, and there are several tasks: nback, rest"):
        plan_cohort(make_config("bids", bids={"root": str(tmp_path)}))
    with pytest.raises(ConfigError, match=r"cohort.bids.task is 'movie', but the tasks .* are nback, rest"):
        plan_cohort(make_config("bids", bids={"root": str(tmp_path), "task": "movie"}))


def test_a_space_that_is_not_there_is_refused_with_those_that_are(tmp_path):
    make_fmriprep(tmp_path, spaces=("space-MNI152NLin6Asym_res-2", "space-T1w"))
    with pytest.raises(ConfigError, match=r"in space-MNI152NLin2009cAsym; there are space-MNI152NLin6Asym_res-2, spa"):
        plan_cohort(make_config("fmriprep", fmriprep={"root": str(tmp_path)}))


def test_derivatives_without_participants_table_name_the_key(tmp_path):
    make_fmriprep(tmp_path / "derivatives")
    table = (tmp_path / "derivatives/participants.tsv").rename(tmp_path / "groups.tsv")
    root = str(tmp_path / "derivatives")
    with pytest.raises(ConfigError, match=r"participants.tsv does not exist: .*cohort.fmriprep.participants"):
        plan_cohort(make_config("fmriprep", fmriprep={"root": root}))
    plan = plan_cohort(make_config("fmriprep", fmriprep={"root": root, "participants": str(table)}))
    assert plan.participants == make_ids(4)


def test_a_file_column_that_is_absent_is_refused(tmp_path):
    table = make_participants(tmp_path / "participants.tsv", 4)
    with pytest.raises(ConfigError, match=r"has no column 'timeseries', .*its columns are participant_id, group, age"):
        plan_cohort(make_config("timeseries", timeseries={"participants": str(table)}))


def test_files_that_are_all_missing_or_shared_are_refused(tmp_path):
    table = make_participants(tmp_path / "participants.tsv", 4, fnc=[f"{number}.npy" for number in range(4)])
    with pytest.raises(ConfigError, match=r"none of the files in column 'fnc' exists \(the first is .*0.npy\)"):
        plan_cohort(make_config("fnc", fnc={"participants": str(table)}))
    make_participants(table, 4, fnc=["a.npy", "b.npy", "a.npy", "c.npy"])
    with pytest.raises(ConfigError, match=r"sub-01 and sub-03 name the same file .*a.npy"):
        plan_cohort(make_config("fnc", fnc={"participants": str(table)}))


def test_models_of_matrices_need_matrices(tmp_path):
    config = make_config("numerical", numerical={"kind": "gaussian-mixture"}, models=("mlp", "cnn2d"))
    with pytest.raises(ConfigError, match=r"training.models: cnn2d learns from matrices .* keep only mlp"):
        plan_cohort(config)
    table = make_fnc(tmp_path)
    assert plan_cohort(make_config("fnc", fnc={"participants": str(table)}, models=("mlp", "cnn2d"))).participants


def test_models_of_time_courses_need_time_courses(tmp_path):
    table = make_fnc(tmp_path)
    with pytest.raises(ConfigError, match=r"training.models: lstm learns from time courses, .* keep only networks on"):
        plan_cohort(make_config("fnc", fnc={"participants": str(table)}, models=("mlp", "lstm")))


@pytest.mark.parametrize("source", ["simulated", "numerical"])
def test_series_made_too_short_are_refused(source):
    with pytest.raises(ConfigError, match=rf"cohort.{source}.n_volumes is 30, but cohort.min_volumes asks for 40"):
        plan_cohort(make_config(source, **{source: {"n_volumes": 30}}))


def test_planning_imports_nothing_heavy(tmp_path):
    table = make_timeseries(tmp_path)
    code = (
        "import sys; from gradspec.config import resolve; from gradspec.cohort.plan import plan_cohort\n"
        "for cohort in ({'source': 'timeseries', 'timeseries': {'participants': sys.argv[1]}}, {'source': 'numerical'},"
        " {'source': 'simulated'}):\n"
        "    plan_cohort(resolve({'cohort': cohort, 'training': {'folds': 2}}))\n"
        "print([name for name in ('numpy', 'pandas', 'nibabel', 'bids', 'torch', 'xarray') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(table)], cwd=ROOT / "workflow", capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.real_data
def test_a_real_data_set_without_group_column_is_refused_clearly(test_data):
    config = make_config("bids", bids={"root": str(test_data / "studyforrest-bids"), "task": "oneback"})
    with pytest.raises(
        ConfigError, match=r"studyforrest-bids/participants.tsv: has no column 'group', named by cohort.group.column"
    ):
        plan_cohort(config)


@pytest.mark.real_data
def test_the_real_cohort_is_planned(test_data):
    table = test_data / "abide-nyu/participants.tsv"
    config = make_config(
        "timeseries",
        group={"column": "diagnosis", "levels": ["control", "autism"]},
        timeseries={"participants": str(table)},
        folds=5,
        models=("mlp", "lstm", "transformer"),
    )
    plan = plan_cohort(config)
    assert plan.participants == sorted(pd.read_csv(table, sep="\t")["participant_id"])
    assert all(len(files) == 1 for files in plan.files.values())
