"""Time courses of GIFT, from files in its structure to a cohort that the workflow can read."""

import nibabel as nib
import numpy as np
import pytest
import yaml
from makers import make_participants, save_matlab_73
from scipy.io import savemat

from gradspec.cohort.arrays import read_array
from gradspec.cohort.plan import plan_cohort
from gradspec.config import resolve
from gradspec.errors import ConfigError, ParticipantError
from gradspec.files import read_table
from gradspec.ica.gift import describe_cohort, import_gift, main


@pytest.fixture
def gift(tmp_path):
    """Return the folder of an analysis of four participants with GIFT's names and variables."""
    folder = tmp_path / "gift"
    folder.mkdir()
    write_parameters(folder)
    for number in range(1, 5):
        rng = np.random.default_rng(number)
        content = {"tc": rng.standard_normal((50 + number, 6)), "ic": rng.standard_normal((6, 30))}
        savemat(folder / f"study_ica_c{number}-1.mat", content)
    return folder


def write_parameters(folder, save=savemat, **changes):
    session = {
        "userInput": {"prefix": "study", "pwd": "/somewhere/else"},
        "calibrate_components_mat_file": "study_ica_c",
        "numOfSub": 4.0,
        "numOfSess": 1.0,
        "numComp": 6.0,
        "TR": 2.5,
        **changes,
    }
    save(folder / "study_ica_parameter_info.mat", {"sesInfo": session})
    return folder / "study_ica_parameter_info.mat"


def test_every_participant_gets_its_time_courses_and_the_workflow_can_plan_with_them(gift, tmp_path, capsys):
    table = make_participants(tmp_path / "people.tsv", 4)
    main([str(gift / "study_ica_parameter_info.mat"), str(table), str(tmp_path / "cohort")])
    cohort = yaml.safe_load(capsys.readouterr().out)["cohort"]
    people = read_table(cohort["timeseries"]["participants"])
    assert people["group"].tolist() == read_table(table)["group"].tolist()
    for number, (who, file) in enumerate(zip(people["participant_id"], people["timeseries"], strict=True), start=1):
        found = read_array(tmp_path / "cohort" / file, who, None, "")
        np.testing.assert_allclose(
            found.values, np.random.default_rng(number).standard_normal((50 + number, 6)), rtol=1e-9
        )
        assert found.columns[0] == "component-01"
    levels = sorted(people["group"].unique())
    config = resolve({"cohort": {**cohort, "group": {"levels": levels}}, "training": {"folds": 2}})
    assert plan_cohort(config).participants == people["participant_id"].tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"numOfSub": 5.0}, "has 4 rows, but GIFT has analysed 5 participants"),
        ({"numOfSess": 2.0}, r"has 2 sessions; say which one"),
        ({"numComp": []}, "is no parameter file of a finished GIFT analysis"),
    ],
)
def test_what_does_not_fit_the_analysis_is_refused(gift, tmp_path, change, message):
    table = make_participants(tmp_path / "people.tsv", 4)
    with pytest.raises(ConfigError, match=message):
        import_gift(write_parameters(gift, **change), table, tmp_path / "cohort")
    assert not (tmp_path / "cohort").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda file: file.unlink(),
            r"sub-\d+: .*study_ica_c3-1\.mat: there is no such file, nor an image of its time courses; if GIFT has zip",
        ),
        (lambda file: file.write_bytes(b"no MATLAB"), "it is no MATLAB file, or damaged"),
        (
            lambda file: savemat(file, {"tc": np.zeros((50, 5))}),
            r"have the shape \(50, 5\), but \(volumes, 6 components\)",
        ),
        (lambda file: savemat(file, {"tc": np.full((50, 6), np.nan)}), "not finite"),
        (lambda file: savemat(file, {"ic": np.zeros((6, 30))}), r"have the shape \(\), but"),
    ],
)
def test_a_participants_bad_file_is_named_and_nothing_is_half_written(gift, tmp_path, damage, message):
    damage(gift / "study_ica_c3-1.mat")
    table = make_participants(tmp_path / "people.tsv", 4)
    with pytest.raises(ParticipantError, match=message):
        import_gift(gift / "study_ica_parameter_info.mat", table, tmp_path / "cohort")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gift", "people.tsv"]


def import_and_read(parameters, tmp_path, **options):
    """Return the time courses that were imported, participant by participant, and the config that was printed."""
    table = import_gift(parameters, make_participants(tmp_path / "people.tsv", 4), tmp_path / "cohort", **options)
    files = [tmp_path / "cohort" / file for file in read_table(table)["timeseries"]]
    return [read_array(file, None, None, "").values for file in files], yaml.safe_load(describe_cohort(table))


def expected(number):
    return np.random.default_rng(number).standard_normal((50 + number, 6))


def test_files_of_matlab_7_3_which_is_the_default_of_gift_are_read(gift, tmp_path):
    write_parameters(gift, save_matlab_73)
    for number in range(1, 5):
        save_matlab_73(gift / f"study_ica_c{number}-1.mat", {"tc": expected(number), "ic": np.ones((6, 30))})
    values, config = import_and_read(gift / "study_ica_parameter_info.mat", tmp_path)
    for number, found in enumerate(values, start=1):
        np.testing.assert_allclose(found, expected(number), rtol=1e-9)
    assert config["cohort"]["timeseries"]["repetition_time"] == 2.5


@pytest.mark.parametrize("in_folders", [False, True])
def test_images_of_the_time_courses_stand_in_where_gift_conserved_disk_space(gift, tmp_path, in_folders):
    stem = "study_scaling_components_files\\ica_c" if in_folders else "study_ica_c"
    write_parameters(gift, calibrate_components_mat_file=stem)
    folder = gift / "study_scaling_components_files" if in_folders else gift
    folder.mkdir(exist_ok=True)
    for number in range(1, 5):
        (gift / f"study_ica_c{number}-1.mat").unlink()
        name = f"{'' if in_folders else 'study_'}sub{number:03d}_timecourses_ica_s1_.nii"
        image = nib.Nifti1Image(expected(number)[:, :, None], np.eye(4))
        image.set_data_dtype(np.int16)
        nib.save(image, folder / name)
    values, _ = import_and_read(gift / "study_ica_parameter_info.mat", tmp_path)
    for number, found in enumerate(values, start=1):
        np.testing.assert_allclose(found, expected(number), atol=2e-4)  # GIFT keeps 16 bits


def test_a_folder_written_on_windows_is_found(gift, tmp_path):
    (gift / "study_scaling_components_files").mkdir()
    for number in range(1, 5):
        (gift / f"study_ica_c{number}-1.mat").rename(gift / f"study_scaling_components_files/ica_c{number}-1.mat")
    write_parameters(gift, calibrate_components_mat_file="study_scaling_components_files\\ica_c")
    values, _ = import_and_read(gift / "study_ica_parameter_info.mat", tmp_path)
    np.testing.assert_allclose(values[3], expected(4), rtol=1e-9)


@pytest.mark.parametrize(
    ("times", "written"),
    [
        ([1.66452, 1.66989, 1.667, 1.667], 1.667),
        ([2.0, 2.0, 2.5, 2.5], "repetition_time"),
        ([], None),
    ],
)
def test_repetition_times_of_gift_are_carried_over(gift, tmp_path, times, written):
    parameters = write_parameters(gift, TR=np.array(times))
    _, config = import_and_read(parameters, tmp_path)
    assert config["cohort"]["timeseries"]["repetition_time"] == written
    table = read_table(tmp_path / "cohort/participants.tsv")
    assert list(table.get("repetition_time", [])) == times


def test_a_length_that_is_not_that_of_the_analysis_is_refused(gift, tmp_path):
    parameters = write_parameters(gift, diffTimePoints=np.array([51.0, 52.0, 60.0, 54.0]))
    with pytest.raises(ParticipantError, match=r"sub-03: .*has 53 volumes, but GIFT has analysed 60"):
        import_and_read(parameters, tmp_path)


def test_what_is_wrong_ends_the_command_with_a_message(gift, tmp_path):
    with pytest.raises(SystemExit, match=r"gradspec.ica.gift: .*none.mat: there is no such file"):
        main([str(gift / "none.mat"), str(make_participants(tmp_path / "people.tsv", 4)), str(tmp_path / "cohort")])


def test_a_file_that_is_none_is_refused(tmp_path):
    (tmp_path / "parameters.mat").write_bytes(b"nothing")
    table = make_participants(tmp_path / "people.tsv", 4)
    with pytest.raises(ConfigError, match=r"parameters\.mat: it is no MATLAB file, or damaged"):
        import_gift(tmp_path / "parameters.mat", table, tmp_path / "cohort")
