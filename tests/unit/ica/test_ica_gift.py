"""Time courses of GIFT, from files in its structure to a cohort that the workflow can read."""

import numpy as np
import pytest
import yaml
from makers import make_participants
from scipy.io import savemat

from gradspec.cohort.arrays import read_array
from gradspec.cohort.plan import plan_cohort
from gradspec.config import resolve
from gradspec.errors import ConfigError, ParticipantError
from gradspec.files import read_table
from gradspec.ica.gift import import_gift, main


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


def write_parameters(folder, **changes):
    session = {
        "userInput": {"prefix": "study", "pwd": "/somewhere/else"},
        "calibrate_components_mat_file": "study_ica_c",
        "numOfSub": 4.0,
        "numOfSess": 1.0,
        "numComp": 6.0,
        **changes,
    }
    savemat(folder / "study_ica_parameter_info.mat", {"sesInfo": session})
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
        (lambda file: file.unlink(), r"sub-\d+: .*study_ica_c3-1\.mat: there is no such file; if GIFT has zipped"),
        (lambda file: file.write_bytes(b"no MATLAB"), "it is no MATLAB file, or damaged"),
        (
            lambda file: savemat(file, {"tc": np.zeros((50, 5))}),
            r"has the shape \(50, 5\), but \(volumes, 6 components\)",
        ),
        (lambda file: savemat(file, {"tc": np.full((50, 6), np.nan)}), "not finite"),
        (lambda file: savemat(file, {"ic": np.zeros((6, 30))}), r"has the shape \(\), but"),
    ],
)
def test_a_participants_bad_file_is_named_and_nothing_is_half_written(gift, tmp_path, damage, message):
    damage(gift / "study_ica_c3-1.mat")
    table = make_participants(tmp_path / "people.tsv", 4)
    with pytest.raises(ParticipantError, match=message):
        import_gift(gift / "study_ica_parameter_info.mat", table, tmp_path / "cohort")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gift", "people.tsv"]


def test_a_file_that_is_none_is_refused(tmp_path):
    (tmp_path / "parameters.mat").write_bytes(b"nothing")
    table = make_participants(tmp_path / "people.tsv", 4)
    with pytest.raises(ConfigError, match=r"parameters\.mat: it is no MATLAB file, or damaged"):
        import_gift(tmp_path / "parameters.mat", table, tmp_path / "cohort")
