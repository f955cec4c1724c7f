"""A run keeps what is known of it from stage to stage, in tables and in JSON, and names what is made of it."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradspec.cohort.runs import RUN_COLUMNS, BoldRun, read_runs, tabulate_runs
from gradspec.files import write_table

LABELS = st.text("abcXYZ019", min_size=1, max_size=4)
PATHS = st.builds(lambda folder, name: Path(folder, f"{name}.nii.gz"), LABELS, LABELS)
TIMES = st.floats(0, 9).map(lambda time: round(time, 6))
RUNS = st.builds(
    BoldRun,
    participant_id=LABELS.map("sub-{}".format),
    bold=st.tuples(LABELS, LABELS, LABELS).map(
        lambda names: Path("a b", "sub-{}_task-{}_run-{}_bold.nii".format(*names))
    ),
    t1w=st.none() | PATHS,
    mask=st.none() | PATHS,
    confounds=st.none() | PATHS,
    repetition_time=TIMES,
    n_volumes=st.integers(1, 5000),
    slice_timing=st.none() | st.lists(TIMES, min_size=1, max_size=4).map(tuple),
    slice_encoding_direction=st.none() | st.sampled_from(["i", "j-", "k"]),
)


@given(st.lists(RUNS, min_size=1, max_size=4))
def test_a_table_of_runs_gives_back_what_was_put_into_it(tmp_path_factory, runs):
    path = tmp_path_factory.mktemp("table") / "runs.tsv"
    write_table(tabulate_runs(run.row() for run in runs), path, RUN_COLUMNS)
    assert read_runs(path) == runs
    first = runs[0].participant_id
    assert read_runs(path, first) == [run for run in runs if run.participant_id == first]


def test_a_whole_number_of_seconds_stays_a_time():
    run = BoldRun.from_row({"participant_id": "sub-01", "bold": "a.nii", "repetition_time": 2, "n_volumes": 60.0})
    assert (repr(run.repetition_time), repr(run.n_volumes)) == ("2.0", "60")


@given(RUNS, st.dictionaries(LABELS, st.floats(0, 1), max_size=2), st.dictionaries(LABELS, LABELS, max_size=2))
def test_json_gives_back_all_of_a_run(run, quality, software):
    run = BoldRun(**{**vars(run), "quality": quality, "software": software, "sidecars": (Path("a.json"),)})
    assert BoldRun.from_row(json.loads(json.dumps(run.row()))) == run


@pytest.mark.parametrize(
    ("name", "label", "session", "task", "index"),
    [
        ("sub-01_ses-a_task-rest_acq-mb_run-2_bold.nii.gz", "ses-a_task-rest_acq-mb_run-2", "a", "rest", "2"),
        ("sub-01_task-rest_space-MNI152NLin2009cAsym_res-2_desc-preproc_bold.nii", "task-rest", None, "rest", None),
        ("sub-01_task-rest_space-MNIPediatricAsym_cohort-3_desc-denoised_bold.nii", "task-rest", None, "rest", None),
        ("sub-01_bold.nii", "", None, None, None),
    ],
)
def test_the_name_of_the_series_says_which_run_it_is(name, label, session, task, index):
    run = BoldRun("sub-01", Path("/data") / name)
    assert run.label == label
    assert [run.row()[key] for key in ("session", "task", "run")] == [session, task, index]
    assert run.name == "_".join(filter(None, ["sub-01", label]))


def test_what_is_made_of_a_run_lies_in_its_session_and_keeps_its_entities():
    run = BoldRun("sub-01", Path("/raw/sub-01_ses-a_task-rest_acq-mb_space-T1w_desc-preproc_bold.nii"))
    made = run.path("out", space="MNI152NLin6Asym", desc="denoised", extension=".nii.gz")
    stem = "sub-01_ses-a_task-rest_acq-mb_space-MNI152NLin6Asym"
    assert made == Path(f"out/ses-a/func/{stem}_desc-denoised_bold.nii.gz")
    assert run.space == {"space": "T1w"}


def test_a_run_follows_its_folder_when_that_is_moved():
    run = BoldRun("sub-01", Path("new/bold.nii"), t1w=Path("raw/t1w.nii"), mask=Path("new/deep/mask.nii"))
    moved = run.moved(Path("new"), Path("results/sub-01"))
    assert moved.bold == Path("results/sub-01/bold.nii")
    assert moved.mask == Path("results/sub-01/deep/mask.nii")
    assert moved.t1w == run.t1w
