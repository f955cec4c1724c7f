"""Which columns are regressed out: components by decomposition, values by what may be missing, cosines by need."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from nipype.algorithms.confounds import cosine_filter

from gradspec.errors import ParticipantError
from gradspec.preprocess.confounds import MOTION_COLUMNS, expand
from gradspec.preprocess.denoise import make_design
from gradspec.preprocess.regressors import choose_acompcor, describe_rows, require_values

N_VOLUMES = 100
COMPCOR = {"strategy": "24P+aCompCor", "scrub": False, "linear_trend": False, "high_pass": None}
THREE = (("CSF", 6), ("WM", 7), ("combined", 8))


def make_components(*masks: tuple[str, int], names: str = "a_comp_cor") -> tuple[pd.DataFrame, dict[str, Any]]:
    """Components of one decomposition after the other under one prefix, and their sidecar."""
    rng = np.random.default_rng(3)
    columns: dict[str, np.ndarray] = {}
    metadata = {}
    for mask, size in masks:
        noise = rng.normal(size=(N_VOLUMES, size))
        for column in np.linalg.qr(noise - noise.mean(axis=0))[0].T:
            name = f"{names}_{len(columns):02d}"
            columns[name] = column.round(10)
            metadata[name] = {"Method": "aCompCor", "Mask": mask, "Retained": True}
    return pd.DataFrame(columns), metadata


def make_table(n_cosines: int = 2, n_dummies: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(4)
    columns: dict[str, Any] = expand(dict(zip(MOTION_COLUMNS, rng.normal(0, 0.1, (6, N_VOLUMES)), strict=True)))
    columns |= {name: rng.normal(900, 5, N_VOLUMES) for name in ("csf", "white_matter")}
    columns |= dict(make_components(("combined", 5))[0])
    _, basis = cosine_filter(rng.normal(size=(2, N_VOLUMES - n_dummies)), 2.0, 128)
    for index in range(n_cosines):
        columns[f"cosine{index:02d}"] = np.concatenate([np.zeros(n_dummies), basis[:, index]])
    for index in range(n_dummies):
        columns[f"non_steady_state_outlier{index:02d}"] = (np.arange(N_VOLUMES) == index).astype(float)
    return pd.DataFrame(columns)


@pytest.mark.parametrize("masks", [THREE, (THREE[2], *THREE[:2]), THREE[2:]])
def test_components_are_those_of_the_combined_mask_wherever_they_stand(masks: tuple[tuple[str, int], ...]) -> None:
    table, metadata = make_components(*masks)
    expected = [name for name, entry in metadata.items() if entry["Mask"] == "combined"][:5]
    assert choose_acompcor(table, metadata) == (expected, None)


def test_components_are_in_the_order_of_their_numbers_beyond_99() -> None:
    table, metadata = make_components(("CSF", 45), ("WM", 52), ("combined", 8))
    shuffled = table[sorted(table)]  # a_comp_cor_100 before a_comp_cor_11
    assert choose_acompcor(shuffled, metadata)[0] == [f"a_comp_cor_{index}" for index in (97, 98, 99, 100, 101)]


@pytest.mark.parametrize(
    ("masks", "file_name", "first", "said"),
    [
        (THREE, "x_desc-confounds_timeseries.tsv", 13, "the last, as fMRIPrep 20.2 orders them, is taken"),
        ((THREE[2], *THREE[:2]), "x_desc-confounds_regressors.tsv", 0, "the first, as fMRIPrep up to 20.1"),
        (THREE[2:], "x_desc-confounds_timeseries.tsv", 0, "all a_comp_cor are of one decomposition"),
        (THREE[1:], "x_desc-confounds_timeseries.tsv", 0, "may be of liquor alone"),
    ],
)
def test_without_sidecar_the_way_of_choosing_is_said(
    masks: tuple[tuple[str, int], ...], file_name: str, first: int, said: str
) -> None:
    names, note = choose_acompcor(make_components(*masks)[0], {}, file_name)
    assert names == [f"a_comp_cor_{first + index:02d}" for index in range(5)]
    assert note is not None
    assert note.startswith("no Mask in a JSON sidecar")
    assert said in note


def test_names_of_fmriprep_from_21_on_need_no_sidecar() -> None:
    table = pd.concat([make_components(("combined", 6))[0], make_components(("WM", 6), names="w_comp_cor")[0]], axis=1)
    names, note = choose_acompcor(table, {})
    assert names == [f"a_comp_cor_{index:02d}" for index in range(5)]
    assert "as the others have other names" in str(note)


def test_fewer_components_are_taken_and_noted() -> None:
    table, metadata = make_components(("CSF", 6), ("combined", 2))
    names, note = choose_acompcor(table, metadata)
    assert names == ["a_comp_cor_06", "a_comp_cor_07"]
    assert note == "2 components of aCompCor instead of 5, since the table has no more"


def test_a_table_without_components_of_both_tissues_is_refused() -> None:
    table, metadata = make_components(("CSF", 6), ("WM", 6))
    with pytest.raises(ParticipantError, match=r"no a_comp_cor component is of the combined mask .* is CSF, WM\)"):
        choose_acompcor(table, metadata)
    with pytest.raises(ParticipantError, match="has no a_comp_cor_00"):
        choose_acompcor(table.iloc[:, :0], {})


@pytest.mark.parametrize(
    ("rows", "said"),
    [(range(N_VOLUMES), "csf is missing throughout"), (range(30, N_VOLUMES), "csf is missing in rows 31 to 100 of 100"),
     ([0], "csf is missing in row 1 of 100"), ([4, 7, 8], "csf is missing in rows 5, 8 to 9 of 100")],
)  # fmt: skip
def test_a_tissue_without_values_is_refused_with_its_rows(rows: Any, said: str) -> None:
    table = make_table()
    table.loc[list(rows), "csf"] = np.nan
    with pytest.raises(ParticipantError, match=f"column {said}.*make the confounds again"):
        require_values(table, ["trans_x", "csf"])


def test_only_the_first_row_of_a_difference_becomes_zero() -> None:
    table = make_table()
    names = ["trans_x", "trans_x_derivative1", "trans_x_derivative1_power2"]
    values = require_values(table, names)
    np.testing.assert_array_equal(values[0, 1:], 0)
    np.testing.assert_array_equal(values[1:], table[names].to_numpy()[1:])
    table.loc[1, "trans_x_derivative1"] = np.nan
    with pytest.raises(ParticipantError, match="trans_x_derivative1 is missing in rows 1 to 2 of 100"):
        require_values(table, names)


def test_what_is_no_number_is_refused() -> None:
    table = make_table().astype({"csf": object})
    table.loc[11, "csf"] = "0,12"
    with pytest.raises(ParticipantError, match="column csf holds '0,12' in row 12"):
        require_values(table, ["csf"])
    table["csf"] = np.inf
    with pytest.raises(ParticipantError, match="csf is infinite in rows 1 to 100"):
        require_values(table, ["csf"])


def test_the_signal_of_an_empty_mask_is_refused_but_a_head_may_lie_still() -> None:
    table = make_table().assign(white_matter=0.0, trans_x=0.0)
    assert require_values(table, ["trans_x"]).any() is np.False_
    with pytest.raises(ParticipantError, match="white_matter is 0 in every row, as of an empty mask"):
        require_values(table, ["white_matter"])


def test_of_many_faults_the_first_are_told() -> None:
    table = make_table()
    table.iloc[5] = np.nan
    with pytest.raises(ParticipantError, match=r"trans_x is missing in row 6 .*; and 20 columns more"):
        require_values(table, [name for name in table if name.startswith(("trans", "rot"))])


def test_rows_are_counted_from_one() -> None:
    assert describe_rows([0]) == "row 1"
    assert describe_rows(np.array([0, 2, 4, 6])) == "rows 1, 3, 5 and more"


@pytest.mark.parametrize("n_dummies", [0, 4])
@pytest.mark.parametrize("high_pass", [0.008, 0.02])
def test_every_cosine_up_to_the_cutoff_is_in_the_design_once(n_dummies: int, high_pass: float) -> None:
    n_steady = N_VOLUMES - n_dummies
    design = make_design(make_table(2, n_dummies), {**COMPCOR, "high_pass": high_pass}, N_VOLUMES, 2.0)
    n_slow = int(2 * n_steady * 2.0 * high_pass)
    assert (design.n_cosines, design.n_own_cosines) == (2, n_slow - 2)
    assert design.high_pass_basis == (
        f"discrete cosines: 2 of the confounds table and {n_slow - 2} made for the run"
        if n_slow > 2
        else "discrete cosines: 2 of the confounds table"
    )
    time = np.arange(n_steady) + 0.5
    basis = np.linalg.qr(np.column_stack([design.matrix, np.ones(N_VOLUMES)]))[0]
    for index in range(1, n_slow + 1):
        cosine = np.concatenate([np.zeros(n_dummies), np.cos(np.pi / n_steady * index * time)])
        np.testing.assert_allclose(basis @ (basis.T @ cosine), cosine, atol=1e-6)


def test_a_table_without_cosines_gets_those_that_are_asked_for_and_it_is_said() -> None:
    design = make_design(make_table(0), {**COMPCOR, "high_pass": 0.008}, N_VOLUMES, 2.0)
    assert [name for name in design.names if "high_pass" in name] == ["high_pass_00", "high_pass_01", "high_pass_02"]
    assert design.high_pass_basis == "discrete cosines: 3 made for the run"
    assert "no cosines: all up to 0.008 Hz are made for the run" in "; ".join(design.notes)
    none = make_design(make_table(0), COMPCOR, N_VOLUMES, 2.0)
    assert none.high_pass_basis is None
    assert "no cosines: no high-pass filter" in "; ".join(none.notes)


def test_motion_alone_is_a_strategy() -> None:
    motion = make_table()[[name for name in make_table() if name.startswith(("trans", "rot"))]]
    assert make_design(motion, {**COMPCOR, "strategy": "24P"}, N_VOLUMES, 2.0).matrix.shape == (N_VOLUMES, 24)
    assert make_design(motion, {**COMPCOR, "strategy": "6P"}, N_VOLUMES, 2.0).names == list(MOTION_COLUMNS)


def test_a_run_without_confounds_says_what_to_do() -> None:
    with pytest.raises(ParticipantError, match=r"no confounds beside it, which '24P\+aCompCor' needs.*strategy: none"):
        make_design(None, COMPCOR, N_VOLUMES, 2.0)
    with pytest.raises(ParticipantError, match=r"'preprocess.denoise.scrub' needs"):
        make_design(None, {**COMPCOR, "strategy": "none", "scrub": True}, N_VOLUMES, 2.0)
