"""File names are split into entities, and the config chooses among them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from makers import make_config, make_ids

from gradspec.cohort.fmriprep import find_preprocessed
from gradspec.cohort.layout import _ORDER, ImageFile, Selection, bids, list_files, select_runs
from gradspec.errors import ConfigError


def selection(**keys):
    return Selection.from_config(make_config("bids", bids=keys)["cohort"]["bids"], "cohort.bids")


def images(*names):
    return [ImageFile.from_path(f"/data/sub-01/func/{name}.nii.gz") for name in names]


def chosen(names, **keys):
    return [image.path.split("/")[-1] for image in select_runs({"sub-01": images(*names)}, selection(**keys))["sub-01"]]


def test_entities_have_long_names():
    image = ImageFile.from_path("x/sub-01_ses-a_task-rest_acq-mb4_dir-AP_run-02_bold.nii.gz")
    assert image.entities == {
        "subject": "01",
        "session": "a",
        "task": "rest",
        "acquisition": "mb4",
        "direction": "AP",
        "run": "02",
        "suffix": "bold",
        "extension": ".nii.gz",
    }
    assert image.key == ("a", "rest", "02")


LABELS = st.text("abcXYZ019", min_size=1, max_size=4)


@given(
    st.dictionaries(st.sampled_from([name for name in _ORDER if name != "subject"]), LABELS),
    st.sampled_from(["bold", "T1w", "mask"]),
    st.sampled_from([".nii", ".nii.gz", ".json"]),
)
def test_a_name_that_is_built_is_read_back(entities, suffix, extension):
    whole = {"subject": "01", **entities, "suffix": suffix, "extension": extension}
    name = bids(whole)
    assert name.startswith("sub-01_")
    assert ImageFile.from_path(name).entities == whole


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "sub-01_ses-a_task-rest_run-2_bold.nii.gz"),
        (
            {"resolution": "2", "cohort": "3", "space": "MNIPediatricAsym", "desc": "preproc"},
            "sub-01_ses-a_task-rest_run-2_space-MNIPediatricAsym_cohort-3_res-2_desc-preproc_bold.nii.gz",
        ),
        (
            {"desc": "hmc", "mode": "image", "to": "boldref", "from_": "orig", "suffix": "xfm", "extension": ".txt"},
            "sub-01_ses-a_task-rest_run-2_from-orig_to-boldref_mode-image_desc-hmc_xfm.txt",
        ),
        ({"subject": None, "suffix": None, "extension": None}, "ses-a_task-rest_run-2"),
        ({"acquisition": "mb4"}, "sub-01_ses-a_task-rest_acq-mb4_run-2_bold.nii.gz"),
    ],
)
def test_entities_stand_in_the_order_of_bids(changes, name):
    image = ImageFile.from_path("sub-01_ses-a_task-rest_run-2_bold.nii.gz")
    assert bids(image.entities, **changes) == name


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"runs": [1]}, ["a_run-01"]),
        ({"runs": ["02"]}, ["a_run-2"]),
        ({"runs": [1, 2]}, ["a_run-01", "a_run-2"]),
        ({}, ["a_run-01", "a_run-2", "a_run-10"]),
    ],
)
def test_runs_are_chosen_by_index(keys, expected):
    names = [f"sub-01_ses-{name}_bold" for name in ("a_run-10", "a_run-2", "a_run-01")]
    found = [name.removeprefix("sub-01_ses-").removesuffix("_bold.nii.gz") for name in chosen(names, **keys)]
    assert sorted(found) == sorted(expected)


def test_filters_take_short_and_long_names_and_lists():
    names = [f"sub-01_task-rest_acq-{acq}_bold" for acq in ("a", "b", "c")]
    assert chosen(names, filters={"acq": "b"}) == chosen(names, filters={"acquisition": ["b"]})
    assert len(chosen(names, filters={"acq": "b"})) == 1


def test_an_unknown_filter_is_refused():
    with pytest.raises(ConfigError, match=r"cohort.bids.filters: 'colour' is not one of the entities acquisition"):
        selection(filters={"colour": "red"})


def test_a_selection_that_matches_nothing_says_what_was_asked_for():
    with pytest.raises(ConfigError, match=r"no BOLD image of the 1 participants matches .*sessions: \('7',\)"):
        chosen(["sub-01_ses-1_task-rest_bold"], sessions=[7])


def test_two_images_of_one_run_are_refused_with_the_remedy():
    with pytest.raises(ConfigError, match=r"echo-1_bold.nii.gz and .*echo-2_bold.nii.gz are the same run; .*filters"):
        chosen(["sub-01_task-rest_echo-1_bold", "sub-01_task-rest_echo-2_bold"])
    assert len(chosen(["sub-01_task-rest_echo-1_bold", "sub-01_task-rest_echo-2_bold"], filters={"echo": 2})) == 1


def test_hidden_files_are_not_listed(tmp_path):
    for name in ("b/c.txt", ".git/x", "b/.hidden", "a.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert list_files(tmp_path) == [str(tmp_path / "a.txt"), str(tmp_path / "b/c.txt")]
    assert list_files(tmp_path / "nowhere") == []


@pytest.mark.parametrize("confounds", ["desc-confounds_timeseries.tsv", "desc-confounds_regressors.tsv"])
@pytest.mark.parametrize("template", ["MNI152NLin2009cAsym", "MNIPediatricAsym_cohort-3"])
def test_mask_and_confounds_are_found_beside_a_preprocessed_image(tmp_path, template, confounds):
    func = tmp_path / "sub-01/ses-1/func"
    func.mkdir(parents=True)
    stem = "sub-01_ses-1_task-rest_run-2"
    expected = [f"{stem}_space-{template}_res-2_desc-brain_mask.nii.gz", f"{stem}_{confounds}"]
    others = [f"{stem}_space-T1w_desc-brain_mask.nii.gz", f"{stem}_desc-brain_mask.nii.gz"]
    for name in (*expected, *others, f"{stem}_space-{template}_res-2_desc-preproc_bold.nii.gz"):
        (func / name).touch()
    section = make_config("fmriprep", fmriprep={"space": template.split("_")[0]})["cohort"]["fmriprep"]
    (run,) = find_preprocessed(tmp_path, ["sub-01"], section)["sub-01"]
    assert [run.mask, run.confounds] == [func / name for name in expected]
    assert (run.name, run.label) == (stem, "ses-1_task-rest_run-2")


def test_several_cohorts_of_a_template_must_be_chosen_from(tmp_path):
    for who, cohort in (("sub-01", 2), ("sub-02", 3)):
        (tmp_path / who / "func").mkdir(parents=True)
        (tmp_path / who / f"func/{who}_task-rest_space-MNIPediatricAsym_cohort-{cohort}_desc-preproc_bold.nii").touch()
    keys = {"space": "MNIPediatricAsym"}
    with pytest.raises(ConfigError, match=r"several cohorts of the template: 2, 3; name one, .*filters: {cohort: 2}"):
        find_preprocessed(tmp_path, make_ids(2), make_config("fmriprep", fmriprep=keys)["cohort"]["fmriprep"])
    section = make_config("fmriprep", fmriprep={**keys, "filters": {"cohort": 3}})["cohort"]["fmriprep"]
    found = find_preprocessed(tmp_path, make_ids(2), section)
    assert [len(found[who]) for who in make_ids(2)] == [0, 1]
    for space in ("MNIPediatricAsym:cohort-3", "MNIPediatricAsym_cohort-3"):
        section = make_config("fmriprep", fmriprep={"space": space})["cohort"]["fmriprep"]
        assert find_preprocessed(tmp_path, make_ids(2), section) == found
    with pytest.raises(
        ConfigError, match=r"in space-MNIPediatricAsym_cohort-5; there are .*cohort-2, .*cohort-3\. Set"
    ):
        section = make_config("fmriprep", fmriprep={"space": "MNIPediatricAsym:cohort-5"})["cohort"]["fmriprep"]
        find_preprocessed(tmp_path, make_ids(2), section)


def test_several_resolutions_must_be_chosen_from(tmp_path):
    func = tmp_path / "sub-01/func"
    func.mkdir(parents=True)
    for resolution in ("1", "2"):
        (func / f"sub-01_task-rest_space-MNI152NLin2009cAsym_res-{resolution}_desc-preproc_bold.nii.gz").touch()
    with pytest.raises(ConfigError, match=r"cohort.fmriprep.resolution is not set, .* several: 1, 2; name one"):
        find_preprocessed(tmp_path, ["sub-01"], make_config("fmriprep")["cohort"]["fmriprep"])
    section = make_config("fmriprep", fmriprep={"resolution": 2})["cohort"]["fmriprep"]
    (run,) = find_preprocessed(tmp_path, ["sub-01"], section)["sub-01"]
    assert "res-2" in run.bold.name
