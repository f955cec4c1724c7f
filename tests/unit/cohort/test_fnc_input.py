"""Cohorts of connectivity matrices or feature vectors made elsewhere."""

import numpy as np
import pandas as pd
import pytest
import scipy.io
from checking import examine_and_check
from makers import make_config, make_fnc, make_ids, make_participants, make_table, save_array, save_matlab_73

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
    fnc = read(table, values="z")["fnc"]
    np.testing.assert_allclose(fnc.sel(participant="sub-02"), matrices["sub-02"], rtol=1e-6, atol=1e-12)


def put_all(folder, change, suffix=".tsv", n=6):
    """Write a matrix each, in the format of the suffix; return the participants table."""
    (folder / "fnc").mkdir(exist_ok=True)
    files = []
    for index, who in enumerate(make_ids(n)):
        files.append(f"fnc/{who}{suffix}")
        change(folder / files[-1], correlations(index))
    return make_participants(folder / "participants.tsv", n, fnc=files)


def hollow(values, diagonal=0.0):
    values = values.copy()
    np.fill_diagonal(values, diagonal)
    return values


def as_tsv(path, values, names=NETWORKS, **options):
    pd.DataFrame(values, names, names).to_csv(path, sep="\t", **{"na_rep": "n/a", **options})


def test_whether_matrices_hold_r_or_z_is_asked_where_they_do_not_say_it(tmp_path):
    table = put_all(tmp_path, lambda path, r: as_tsv(path, hollow(r)))
    with pytest.raises(
        ConfigError, match=r"cohort.fnc.values is not set, and the 6 matrices do not say .* write r or z"
    ):
        check(table)
    expected = hollow(correlations(2))
    np.testing.assert_allclose(read(table, values="r")["fnc"][2], np.arctanh(expected), rtol=1e-5)
    np.testing.assert_allclose(read(table, values="z")["fnc"][2], expected, rtol=1e-5)


@pytest.mark.parametrize("diagonal", [np.inf, np.arctanh(1 - 1e-16), 18.0218266945585])
def test_the_fisher_z_of_one_on_the_diagonal_tells_z(tmp_path, diagonal):
    """As numpy, MATLAB and GIFT write it."""
    table = put_all(tmp_path, lambda path, r: as_tsv(path, hollow(np.arctanh(hollow(r)), diagonal)))
    np.testing.assert_allclose(read(table)["fnc"][2], np.arctanh(hollow(correlations(2))), rtol=1e-5)


def test_a_diagonal_of_infinities_and_what_rounding_made_of_others_tells_z(tmp_path):
    table = put_all(tmp_path, lambda path, r: as_tsv(path, hollow(r) + np.diag([np.inf, 18.02, 18.37, np.inf, 18.71])))
    np.testing.assert_allclose(read(table)["fnc"][2], hollow(correlations(2)), rtol=1e-5)


def test_covariances_are_not_taken_for_z(tmp_path):
    scale = np.array([2.0, 3.0, 4.0, 5.0, 6.0])
    table = put_all(tmp_path, lambda path, r: as_tsv(path, r * np.outer(scale, scale)))
    with pytest.raises(ConfigError, match="do not say themselves whether they hold correlations or Fisher z"):
        check(table)


def test_values_beyond_one_tell_z_for_all_matrices_of_their_layout(tmp_path):
    def change(path, r):
        z = np.arctanh(hollow(r))
        if path.stem == "sub-03":
            z[0, 1] = z[1, 0] = 1.4
        as_tsv(path, z)

    participants, runs, _ = check(put_all(tmp_path, change))
    assert (participants["status"] == "included").all()
    assert set(runs["reading"]) == {"z"}


def test_z_where_the_config_says_r_is_refused(tmp_path):
    table = put_all(tmp_path, lambda path, r: as_tsv(path, r))
    as_tsv(tmp_path / "fnc/sub-02.tsv", hollow(np.arctanh(hollow(correlations(1))), np.inf))
    reasons = check(table, values="r")[0]["reason"]
    assert "holds Fisher z, by its diagonal, the Fisher z of one, but cohort.fnc.values says r" in reasons["sub-02"]
    as_tsv(tmp_path / "fnc/sub-02.tsv", 3 * hollow(correlations(1)))
    assert "holds Fisher z, by values beyond 1" in check(table, values="r")[0].loc["sub-02", "reason"]


@pytest.mark.parametrize(
    "write",
    [
        lambda path, r: as_tsv(path, r, index_label="Node"),  # XCP-D
        lambda path, r: as_tsv(path, r, index=False),
        lambda path, r: pd.DataFrame(r, NETWORKS).to_csv(path, sep="\t"),  # only the rows have names
    ],
)
def test_names_of_a_file_are_kept(tmp_path, write):
    data = read(put_all(tmp_path, write))
    assert list(data["component"].values) == NETWORKS
    np.testing.assert_allclose(data["fnc"][2], np.arctanh(hollow(correlations(2))), rtol=1e-5)


def test_a_column_that_counts_the_rows_is_left_out(tmp_path):
    table = put_all(tmp_path, lambda path, r: pd.DataFrame(r).reset_index().to_csv(path, sep="\t", index=False))
    assert check(table)[0].loc["sub-03", "note"] == "column 'index' left out: it counts the rows"
    np.testing.assert_allclose(read(table)["fnc"][2], np.arctanh(hollow(correlations(2))), rtol=1e-5)


@pytest.mark.parametrize("empty", [0.0, np.nan])
@pytest.mark.parametrize("half", ["upper", "lower"])
def test_one_triangle_is_taken_for_both(tmp_path, half, empty):
    keep = np.triu if half == "upper" else np.tril
    table = put_all(tmp_path, lambda path, r: as_tsv(path, np.where(keep(np.ones((5, 5))), r, empty)))
    participants = check(table)[0]
    assert (
        participants.loc["sub-03", "note"] == f"its {'lower' if half == 'upper' else 'upper'} triangle is empty: taken "
        "from the other"
    )
    np.testing.assert_allclose(read(table)["fnc"][2], np.arctanh(hollow(correlations(2))), rtol=1e-5)


@pytest.mark.parametrize("spelled", [np.nan, 0.0])
def test_a_region_without_coverage_is_kept_as_zeros(tmp_path, spelled):
    table = put_all(tmp_path, lambda path, r: as_tsv(path, r))
    values = correlations(1)
    values[3, :] = values[:, 3] = spelled
    as_tsv(tmp_path / "fnc/sub-02.tsv", values, index_label="Node")
    participants = check(table, max_constant=0.2)[0]
    assert participants.loc["sub-02", "note"] == "no connectivity of region network3, kept as zeros"
    fnc = read(table, max_constant=0.2)["fnc"].sel(participant="sub-02")
    assert (fnc[3] == 0).all()
    np.testing.assert_allclose(fnc[0, 1], np.arctanh(correlations(1)[0, 1]), rtol=1e-5)
    assert "1 of 5 regions have no connectivity" in check(table)[0].loc["sub-02", "reason"]


def test_rows_in_another_order_than_the_columns_are_refused(tmp_path):
    table = put_all(tmp_path, lambda path, r: as_tsv(path, r))
    pd.DataFrame(correlations(), NETWORKS[::-1], NETWORKS).to_csv(tmp_path / "fnc/sub-02.tsv", sep="\t")
    assert "names its row 1 'network4', but its column 'network0'" in check(table)[0].loc["sub-02", "reason"]


@pytest.mark.parametrize("save", [scipy.io.savemat, save_matlab_73])
def test_targets_that_are_no_sources_are_left_out_of_a_file_of_conn(tmp_path, save):
    def change(path, r):
        z = hollow(np.arctanh(hollow(r)), np.nan)
        names = ["CONN 1", "CONN 2", "CONN 3", "CONN 4", "CONN 5", "left out 1", "left out 2"]
        cells = {"names": names[:5], "names2": names}
        if save is scipy.io.savemat:
            cells = {name: np.array(texts, dtype=object)[None] for name, texts in cells.items()}
        save(path, {"Z": np.hstack([z, np.full((5, 2), 0.1)]), **cells, "SE": np.ones((1, 5)), "DOF": 40.0})

    table = put_all(tmp_path, change, ".mat")
    data = read(table, variable="Z", values="z")
    np.testing.assert_allclose(data["fnc"][2], np.arctanh(hollow(correlations(2))), rtol=1e-5)
    assert list(data["component"].values)[4] == "CONN 5"
    assert check(table, variable="Z", values="z")[0].loc["sub-03", "note"] == "2 columns left out: they have no rows"


@pytest.mark.parametrize(
    "save", [scipy.io.savemat, save_matlab_73, lambda path, content: np.save(path, content["all"])]
)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_matrices_of_a_stack_belong_to_the_rows_of_the_table(tmp_path, save, axis):
    stack = np.stack([correlations(index) for index in range(6)], axis=axis)
    path = tmp_path / ("x.npy" if save not in (scipy.io.savemat, save_matlab_73) else "x.mat")
    save(path, {"all": stack})
    ids = ["sub-06", "sub-01", "sub-02", "sub-03", "sub-04", "sub-05"]
    table = make_table(tmp_path / "participants.tsv", {"participant_id": ids, "group": ["control", "patient"] * 3})
    data = read(table, stack=str(path))["fnc"]
    np.testing.assert_allclose(data.sel(participant="sub-06"), np.arctanh(hollow(correlations(0))), rtol=1e-5)
    np.testing.assert_allclose(data.sel(participant="sub-05"), np.arctanh(hollow(correlations(5))), rtol=1e-5)


def test_the_only_session_of_a_file_of_gift_is_read(tmp_path):
    def change(path, r):
        save_matlab_73(path, {"spectra_tc": np.ones((4, 4)), "fnc_corrs": np.arctanh(hollow(r))[None]})

    table = put_all(tmp_path, change, ".mat")
    data = read(table, variable="fnc_corrs", values="z")["fnc"]
    np.testing.assert_allclose(data[2], np.arctanh(hollow(correlations(2))), rtol=1e-5)


def test_a_stack_of_one_session_is_read_and_of_others_refused(tmp_path):
    """GIFT keeps participants, sessions and components in this order."""
    table = make_participants(tmp_path / "participants.tsv", 5)
    stack = np.stack([np.arctanh(hollow(correlations(index))) for index in range(5)])
    scipy.io.savemat(tmp_path / "x.mat", {"fnc_corrs_all": stack[:, None]})  # as many participants as components
    data = read(table, stack=str(tmp_path / "x.mat"), values="z")["fnc"]
    np.testing.assert_allclose(data[4], stack[4], rtol=1e-5)
    scipy.io.savemat(tmp_path / "x.mat", {"fnc_corrs_all": np.stack([stack, stack], axis=1)})
    with pytest.raises(ConfigError, match=r"x.mat: holds an array of shape \(5, 2, 5, 5\); a stack of square matrices"):
        check(table, stack=str(tmp_path / "x.mat"))
    scipy.io.savemat(tmp_path / "x.mat", {"fnc_corrs_all": stack[:4]})
    with pytest.raises(ConfigError, match="in which the matrices of 5 participants"):
        check(table, stack=str(tmp_path / "x.mat"))


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
        (np.eye(5), "holds only zeros or missing values off the diagonal"),
        (twins(), "holds correlations, by ones on its diagonal, but a value of 1 or more off the diagonal"),
        (correlations(n=4), "has 4 components (correlations), but most of the cohort (5 of 6) has 5 components"),
        (correlations() - np.eye(5), "may hold correlations or Fisher z: it has no ones on its diagonal"),
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
