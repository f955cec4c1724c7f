"""From denoised folders to time courses and maps of every run."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from gradspec.errors import ConfigError, ParticipantError
from gradspec.files import write_dataset
from gradspec.ica.backprojection import participant_components
from gradspec.ica.connectivity import cohort_fnc
from gradspec.ica.images import maps_to_image, save_image
from gradspec.ica.mask import count_masks
from gradspec.ica.methods import METHODS, choose_method
from gradspec.ica.runs import common_repetition_time


@pytest.fixture
def group_files(group, tmp_path):
    """True maps and mask as the group job would write them."""
    mask = group.mask_images()[0]
    maps = group.maps - group.maps.mean(axis=1, keepdims=True)
    save_image(mask, tmp_path / "mask.nii.gz")
    save_image(maps_to_image(maps.astype(np.float32), mask), tmp_path / "components.nii.gz")
    return tmp_path / "components.nii.gz", tmp_path / "mask.nii.gz"


def test_different_repetition_times_are_refused(cohort):
    _, runs = cohort
    with pytest.raises(
        ConfigError, match=r"sub-02_task-rest has a repetition time of 1\.5 s, most others of 2\.0 s; .* the same one"
    ):
        common_repetition_time([runs[0], replace(runs[1], repetition_time=1.5), runs[2]])


def test_repetition_times_that_only_rounding_tells_apart_are_one(cohort):
    _, runs = cohort
    times = [1.66989, 1.66452, 1.667]
    runs = [replace(run, repetition_time=time) for run, time in zip(runs, times, strict=False)]
    assert common_repetition_time(runs) == 1.667


def test_a_missing_mask_is_an_error(cohort, tmp_path):
    _, runs = cohort
    runs[0].mask.unlink()
    with pytest.raises(ParticipantError, match=r"desc-brain_mask\.nii\.gz: cannot be read as an image"):
        count_masks([run.mask for run in runs])


def test_every_run_gets_its_time_courses_and_maps(group, cohort, group_files, tmp_path):
    names, runs = cohort
    dataset = participant_components(runs, *group_files, tmp_path / "participants", 0.15)
    timecourses = dataset["timecourses"]
    assert timecourses.dims == ("participant", "time", "component")
    assert timecourses.dtype == np.float32
    assert list(dataset["participant"].values) == names
    assert list(dataset["run"].values) == ["task-rest"] * 12
    assert dataset["time"].values[1] == dataset.attrs["repetition_time"] == 2.0
    r = [np.corrcoef(timecourses[i, :, k], group.timecourses[i, :, k])[0, 1] for i in range(12) for k in range(8)]
    assert np.mean(r) > 0.8  # low-pass filtered, so not quite what was mixed
    files = sorted(path.name for path in (tmp_path / "participants").iterdir())
    assert files == [f"{name}_task-rest_components.nii.gz" for name in names]
    maps = nib.load(tmp_path / "participants" / files[4]).get_fdata()[group.mask].T
    assert np.mean([np.corrcoef(maps[k], group.own_maps[4, k])[0, 1] for k in range(8)]) > 0.7
    assert cohort_fnc(dataset)["fnc"].shape == (12, 8, 8)


def test_the_same_input_gives_the_same_bytes_with_any_number_of_threads(cohort, group_files, tmp_path):
    names, runs = cohort
    for copy, n_jobs in (("a", 1), ("b", 2)):
        dataset = participant_components(runs[:3], *group_files, tmp_path / copy / "maps", None, n_jobs=n_jobs)
        write_dataset(dataset, tmp_path / copy / "timecourses.nc")
    for file in ["timecourses.nc", *(f"maps/{name}_task-rest_components.nii.gz" for name in names[:3])]:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_longer_runs_are_cut_to_the_shortest_and_logged(cohort, group_files, tmp_path, caplog):
    _, runs = cohort
    image = nib.load(runs[1].bold)
    nib.save(nib.Nifti1Image(image.get_fdata(dtype=np.float32)[..., :50], image.affine, image.header), runs[1].bold)
    with caplog.at_level("INFO"):
        dataset = participant_components(runs[:3], *group_files, tmp_path / "maps", 0.15)
    assert dataset.sizes["time"] == 50
    assert "sub-01_task-rest: cut from 60 to 50 volumes" in caplog.text
    asked = participant_components(runs[:3], *group_files, tmp_path / "asked", 0.15, n_volumes=45)
    assert asked.sizes["time"] == 45
    np.testing.assert_array_equal(asked["timecourses"], dataset["timecourses"][:, :45])


def test_a_bad_run_names_its_participant_and_leaves_nothing_behind(cohort, group_files, tmp_path):
    _, runs = cohort
    runs[2].bold.write_bytes(runs[2].bold.read_bytes()[:-5000])
    with pytest.raises(ParticipantError, match=r"sub-03: .*sub-03_task-rest.*truncated"):
        participant_components(runs, *group_files, tmp_path / "out" / "maps", 0.15)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("method", list(METHODS))
def test_every_method_gives_time_courses_and_maps_in_the_order_and_sign_of_the_group(
    group, cohort, group_files, tmp_path, method
):
    names, runs = cohort
    dataset = participant_components(
        runs[:4], *group_files, tmp_path / "maps", None, 2, method=method, detrend_cycles=0
    )
    assert dataset.attrs["method"] == method
    courses = dataset["timecourses"].values
    r = [np.corrcoef(courses[i, :, k], group.timecourses[i, :, k])[0, 1] for i in range(4) for k in range(8)]
    assert np.mean(r) > 0.75
    maps = nib.load(tmp_path / "maps" / f"{names[2]}_task-rest_components.nii.gz").get_fdata()[group.mask].T
    assert np.mean([np.corrcoef(maps[k], group.own_maps[2, k])[0, 1] for k in range(8)]) > 0.5
    np.testing.assert_allclose(dataset["power"].sum("frequency"), 1, atol=1e-4)


@pytest.mark.parametrize("method", [name for name, kind in METHODS.items() if not kind.looks_twice])
def test_what_is_found_of_a_participant_does_not_depend_on_the_others(cohort, group_files, tmp_path, method):
    names, runs = cohort
    few = participant_components(runs[:2], *group_files, tmp_path / "few", 0.15, method=method)
    many = participant_components(runs[:5], *group_files, tmp_path / "many", 0.15, method=method)
    np.testing.assert_array_equal(few["timecourses"].values, many["timecourses"].values[:2])
    file = f"{names[0]}_task-rest_components.nii.gz"
    assert (tmp_path / "few" / file).read_bytes() == (tmp_path / "many" / file).read_bytes()


@pytest.mark.parametrize("method", [name for name, kind in METHODS.items() if kind.looks_twice])
def test_a_prior_of_training_participants_sees_no_other(cohort, group_files, tmp_path, method):
    names, runs = cohort
    training, everyone = runs[:3], runs[:5]
    alone = participant_components(training, *group_files, tmp_path / "alone", None, method=method)
    beside = participant_components(
        everyone, *group_files, tmp_path / "beside", None, method=method, learn_from=names[:3]
    )
    np.testing.assert_array_equal(alone["timecourses"].values, beside["timecourses"].values[:3])
    for name in names[:3]:
        file = f"{name}_task-rest_components.nii.gz"
        assert (tmp_path / "alone" / file).read_bytes() == (tmp_path / "beside" / file).read_bytes()
    participant_components(everyone, *group_files, tmp_path / "all", None, method=method)
    assert (tmp_path / "all" / file).read_bytes() != (tmp_path / "beside" / file).read_bytes()


def test_auto_takes_gig_ica_for_a_template_and_empirical_bayes_for_a_group():
    assert choose_method("auto", has_template=True) == "gig-ica"
    assert choose_method("auto", has_template=False) == "empirical-bayes"
    assert choose_method("dual-regression", has_template=True) == "dual-regression"


@pytest.mark.parametrize("method", list(METHODS))
def test_a_run_that_is_too_short_names_its_participant(cohort, group_files, tmp_path, method):
    _, runs = cohort
    image = nib.load(runs[1].bold)
    nib.save(nib.Nifti1Image(image.get_fdata(dtype=np.float32)[..., :7], image.affine, image.header), runs[1].bold)
    with pytest.raises(ParticipantError, match=r"sub-02: .*sub-02_task-rest.* 7 volumes .*too few"):
        participant_components(runs[:3], *group_files, tmp_path / "out" / "maps", None, method=method)
    assert not list((tmp_path / "out").iterdir())


def test_values_that_are_not_finite_and_maps_that_depend_on_each_other_are_refused(
    cohort, group_files, group, tmp_path
):
    _, runs = cohort
    image = nib.load(runs[2].bold)
    data = image.get_fdata(dtype=np.float32)
    data[tuple(np.argwhere(group.mask)[5])] = np.nan
    nib.save(nib.Nifti1Image(data, image.affine, image.header), runs[2].bold)
    with pytest.raises(ParticipantError, match=r"sub-03: .*not finite"):
        participant_components(runs[:3], *group_files, tmp_path / "maps", None, method="gig-ica")
    double = np.concatenate([group.maps, group.maps[:1]]).astype(np.float32)
    save_image(maps_to_image(double, nib.load(group_files[1])), tmp_path / "double.nii.gz")
    with pytest.raises(ConfigError, match="the 9 maps depend on each other within the mask"):
        participant_components(runs[:2], tmp_path / "double.nii.gz", group_files[1], tmp_path / "x", None)
