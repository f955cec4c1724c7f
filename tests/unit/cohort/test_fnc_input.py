"""Cohorts of connectivity matrices or feature vectors made elsewhere."""

import numpy as np
import pytest
from checking import examine_and_check
from makers import make_config, make_fnc, make_ids, make_participants, make_table, save_array

from gradspec.cohort.fnc import read_fnc
from gradspec.cohort.plan import plan_cohort
from gradspec.errors import ConfigError

NETWORKS = [f"network{number}" for number in range(5)]


def check(participants_table, **section):
    config = make_config("fnc", fnc={"participants": str(participants_table), **section})
    plan_cohort(config)
    participants, runs = examine_and_check(config)
    return participants.set_index("participant_id"), runs, config["cohort"]


def read(participants_table, **section):
    participants, runs, cohort = check(participants_table, **section)
    return read_fnc(participants.reset_index(), runs, cohort)


def correlations(seed=1, n=5):
    return np.corrcoef(np.random.default_rng(seed).standard_normal((n, 30)))


def put(folder, who, values):
    save_array(folder / f"fnc/{who}.tsv", values, [f"network{number}" for number in range(values.shape[1])])


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".npy", ".mat"])
def test_correlations_become_fisher_z_with_a_zero_diagonal(tmp_path, suffix):
    data = read(make_fnc(tmp_path, suffix=suffix))
    assert data["fnc"].dims == ("participant", "component", "component_2")
    assert data["fnc"].dtype == np.float32
    assert list(data["participant"].values) == make_ids(4)
    expected = np.arctanh(correlations(2) - np.eye(5))
    np.testing.assert_allclose(data["fnc"].sel(participant="sub-03"), expected, atol=1e-6)


@pytest.mark.parametrize("diagonal", [0.0, np.inf, np.nan])
def test_other_matrices_are_taken_as_they_are_whatever_the_diagonal(tmp_path, diagonal):
    table = make_fnc(tmp_path)
    matrices = {}
    for index, who in enumerate(make_ids(4)):
        matrices[who] = 2 * np.arctanh(correlations(index) - np.eye(5))
        values = matrices[who].copy()
        np.fill_diagonal(values, diagonal)
        put(tmp_path, who, values)
    fnc = read(table)["fnc"]
    np.testing.assert_allclose(fnc.sel(participant="sub-02"), matrices["sub-02"], rtol=1e-6)


@pytest.mark.parametrize("shape", [(1, 9), (9, 1)])
def test_a_row_or_a_column_is_a_feature_vector(tmp_path, shape):
    table = make_fnc(tmp_path)
    for index, who in enumerate(make_ids(4)):
        put(tmp_path, who, np.random.default_rng(index).standard_normal(shape))
    features = read(table)["features"]
    assert features.dims == ("participant", "feature")
    np.testing.assert_allclose(features[3], np.random.default_rng(3).standard_normal(9), rtol=1e-6)


def one_row_changed(values, row, column, value):
    values = values.copy()
    values[row, column] = value
    return values


def twins():
    values = correlations()
    values[0, 1] = values[1, 0] = 1.0
    return values


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (correlations()[:4], "has shape (4, 5), but a square matrix or a single row or column is expected"),
        (one_row_changed(correlations(), 0, 3, 0.9), "is not symmetric (largest difference"),
        (one_row_changed(correlations(), 0, 3, np.nan), "1 values off the diagonal are NaN or infinite"),
        (np.eye(5), "holds only zeros off the diagonal"),
        (twins(), "has ones on its diagonal, but a correlation of 1 or more off it"),
        (correlations(n=4), "has 4 components (correlations), but most of the cohort (5 of 6) has 5 components"),
        (correlations() - np.eye(5), "has 5 components (taken as they are), but most of the cohort"),
        (one_row_changed(np.ones((1, 9)), 0, 0, np.nan), "1 features are NaN or infinite"),
    ],
)
def test_a_participant_whose_matrix_cannot_be_used_is_excluded_with_file_and_reason(tmp_path, values, reason):
    table = make_fnc(tmp_path, 6)
    put(tmp_path, "sub-02", values)
    participants, _, _ = check(table)
    assert list(participants.index[participants["status"] == "excluded"]) == ["sub-02"]
    assert f"sub-02.tsv: {reason}" in participants.loc["sub-02", "reason"]


def test_a_row_that_names_no_file_is_excluded(tmp_path):
    make_fnc(tmp_path, 6)
    files = [f"fnc/{who}.tsv" for who in make_ids(6)]
    table = make_participants(tmp_path / "participants.tsv", 6, fnc=[files[0], None, *files[2:]])
    assert "names no file in column 'fnc'" in check(table)[0].loc["sub-02", "reason"]


def make_features(folder, n=6, **changes):
    values = np.random.default_rng(0).standard_normal((n, 3))
    columns = {f"f{number}": list(values[:, number]) for number in range(3)} | changes
    return make_table(folder / "features.tsv", {"participant_id": make_ids(n), **columns}), values


def test_one_table_gives_the_features_of_everybody(tmp_path):
    table = make_participants(tmp_path / "participants.tsv", 6)
    features, values = make_features(tmp_path)
    data = read(table, table=str(features))
    np.testing.assert_allclose(data["features"], values, rtol=1e-6)
    assert list(data["feature"].values) == ["f0", "f1", "f2"]


def test_a_participant_without_a_row_or_a_number_is_excluded(tmp_path):
    table = make_participants(tmp_path / "participants.tsv", 10)
    features, _ = make_features(tmp_path, f1=[1, "high", None, "nan", 5, 6])
    features.write_text(features.read_text() + "".join(f"{who}\t1\t2\t3\n" for who in ("sub-07", "sub-08", "sub-09")))
    reasons = check(table, table=str(features))[0]["reason"]
    assert "feature 'f1' is 'high', which is not a number" in reasons["sub-02"]
    assert "feature 'f1' is 'n/a', which is not a number" in reasons["sub-03"]
    assert "feature 'f1' is 'n/a', which is not a number" in reasons["sub-04"]
    assert "has no row of this participant" in reasons["sub-10"]
    assert reasons[["sub-01", "sub-05", "sub-06", "sub-07"]].isna().all()


def test_a_table_of_features_with_a_double_row_is_refused(tmp_path):
    table = make_participants(tmp_path / "participants.tsv", 6)
    features, _ = make_features(tmp_path)
    features.write_text(features.read_text() + "sub-02\t1\t2\t3\n")
    with pytest.raises(ConfigError, match=r"features.tsv: participant sub-02 is listed twice"):
        check(table, table=str(features))
