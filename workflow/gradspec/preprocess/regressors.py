"""Which columns of a table of confounds a denoising strategy regresses out, and whether they hold what they should."""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from gradspec.errors import ParticipantError
from gradspec.preprocess.compcor import N_COMPONENTS
from gradspec.preprocess.confounds import MOTION_COLUMNS

_EXPANSIONS = ("", "_derivative1", "_power2", "_derivative1_power2")
_MOTION_24 = tuple(f"{name}{expansion}" for name in MOTION_COLUMNS for expansion in _EXPANSIONS)
_COLUMNS = {
    "none": (),
    "6P": MOTION_COLUMNS,
    "24P": _MOTION_24,
    "simple": (*MOTION_COLUMNS, "csf", "white_matter"),
    "24P+aCompCor": _MOTION_24,
}
"""Columns that a strategy asks for by name; aCompCor's are chosen by `choose_acompcor`."""
_TISSUES = re.compile(r"csf|white_matter|global_signal|[actw]_comp_cor_\d+")
_ORTHOGONAL = 1e-3  # largest correlation of two components of one decomposition, as they are rounded in a table
_MOST_FAULTS = 4


def select_confounds(table: pd.DataFrame, strategy: str, scrub: bool) -> list[str]:
    """Names of the columns that a strategy regresses out, the components of aCompCor aside.

    Parameters
    ----------
    table : DataFrame
        Confounds of a run, in fMRIPrep's columns.
    strategy : {"none", "6P", "24P", "simple", "24P+aCompCor"}
        ``6P``: six motion parameters. ``24P``: with derivatives and squares. ``simple``: six motion parameters, csf,
        white matter. ``24P+aCompCor``: 24P, five components and the cosines that were removed before these.
    scrub : bool
        Also take the motion outliers: a volume with a column of its own has no influence any more. Dummy scans are
        taken by every strategy but ``none``.

    Returns
    -------
    list of str

    Raises
    ------
    ParticipantError
        Naming the columns that the table lacks.
    """
    wanted = list(_COLUMNS[strategy])
    if missing := [name for name in wanted if name not in table]:
        raise ParticipantError(
            f"the confounds table lacks {', '.join(missing)}, which the denoising strategy {strategy!r} needs; "
            "make them, or choose another preprocess.denoise.strategy"
        )
    marked = [*(["motion_outlier"] if scrub else []), *(["non_steady_state_outlier"] if strategy != "none" else [])]
    if has_components(strategy):
        marked.append("cosine")
    return wanted + [name for name in table if name.startswith(tuple(marked))]


def has_components(strategy: str) -> bool:
    """Whether a strategy takes components of aCompCor, and with them the cosines that they were made without."""
    return strategy == "24P+aCompCor"


def choose_acompcor(
    table: pd.DataFrame, metadata: Mapping[str, Any], file_name: str = ""
) -> tuple[list[str], str | None]:
    """Choose the first components of liquor and white matter together.

    fMRIPrep numbers three decompositions (liquor, white matter, both) under one prefix until 20.2; up to 20.1 that of
    both comes first, in 20.2 it comes last, and from 21 on the others have prefixes of their own.

    Parameters
    ----------
    table : DataFrame
        Confounds of a run.
    metadata : mapping
        Their JSON sidecar; its ``Mask`` says which decomposition a component is of.
    file_name : str
        Name of the table, which fMRIPrep changed with 20.2; asked for where the sidecar says nothing.

    Returns
    -------
    names : list of str
        At most `N_COMPONENTS`.
    note : str or None
        How they were chosen where the sidecar does not say it, and how many there are if they are fewer.

    Raises
    ------
    ParticipantError
        If there are none.
    """
    names = sorted((name for name in table if re.fullmatch(r"a_comp_cor_\d+", name)), key=_number)
    if not names:
        raise ParticipantError(
            "the confounds table has no a_comp_cor_00, a_comp_cor_01, …, which the denoising strategy '24P+aCompCor' "
            "needs; make them, or choose another preprocess.denoise.strategy"
        )
    masks = {name: entry.get("Mask") for name in names if isinstance(entry := metadata.get(name), Mapping)}
    if any(masks.values()):
        both = [name for name in names if masks.get(name) == "combined"]
        if not both:
            found = ", ".join(sorted({str(mask) for mask in masks.values()}))
            raise ParticipantError(
                f"no a_comp_cor component is of the combined mask (Mask in the JSON sidecar is {found}); make them of "
                "liquor and white matter together, or choose another preprocess.denoise.strategy"
            )
        how = None
    else:
        both, how = _without_masks(table, names, file_name)
    notes = [how] if how else []
    if len(both) < N_COMPONENTS:
        notes.append(f"{len(both)} components of aCompCor instead of {N_COMPONENTS}, since the table has no more")
    return both[:N_COMPONENTS], "; ".join(notes) or None


def _number(name: str) -> int:
    return int(name.rpartition("_")[2])


def _without_masks(table: pd.DataFrame, names: list[str], file_name: str) -> tuple[list[str], str]:
    """Tell the decompositions apart by what a table itself shows."""
    said = "no Mask in a JSON sidecar beside the confounds: "
    if any(name.startswith(("c_comp_cor", "w_comp_cor")) for name in table):
        return names, f"{said}the a_comp_cor are taken for those of the combined mask, as the others have other names"
    blocks = _decompositions(table, names)
    if len(blocks) == 1:
        return names, f"{said}all a_comp_cor are of one decomposition, which is taken for that of the combined mask"
    if len(blocks) == 3:
        last = "timeseries" in file_name
        place = "last, as fMRIPrep 20.2 orders them" if last else "first, as fMRIPrep up to 20.1 orders them"
        return blocks[-1 if last else 0], f"{said}of three decompositions under a_comp_cor the {place}, is taken"
    return names, (
        f"{said}the first a_comp_cor are taken, although they may be of liquor alone (fMRIPrep 20.2); put the sidecar "
        "back to be certain"
    )


def _decompositions(table: pd.DataFrame, names: Sequence[str]) -> list[list[str]]:
    """Part components where one is not orthogonal to those before it: those of one decomposition are."""
    values = require_values(table, names)
    values = values / np.linalg.norm(values, axis=0)
    starts = [0]
    for index in range(1, len(names)):
        if np.abs(values[:, starts[-1] : index].T @ values[:, index]).max() > _ORTHOGONAL:
            starts.append(index)
    return [list(names[first:last]) for first, last in pairwise([*starts, len(names)])]


def require_values(table: pd.DataFrame, names: Sequence[str]) -> Float[np.ndarray, "time regressor"]:
    """Return columns as numbers; only a difference from the volume before may lack its first, which becomes 0.

    Parameters
    ----------
    table : DataFrame
        Confounds of a run.
    names : sequence of str
        Columns that are regressed out.

    Raises
    ------
    ParticipantError
        Naming column and rows (volumes, counted from 1) of a value that is missing, no number or not finite, and a
        tissue signal that is the same in every volume.
    """
    faults = [fault for name in names if (fault := _find_fault(table[name]))]
    if faults:
        more = f"; and {len(faults) - _MOST_FAULTS} columns more" if len(faults) > _MOST_FAULTS else ""
        raise ParticipantError(
            f"{'; '.join(faults[:_MOST_FAULTS])}{more}: a regressor needs a number in every volume; make the confounds "
            "again, or choose another preprocess.denoise.strategy"
        )
    return np.asarray(table[list(names)].astype(float).fillna(0.0))


def _find_fault(column: "pd.Series[Any]") -> str | None:
    name = str(column.name)
    missing = np.flatnonzero(column.isna())
    if len(missing) == len(column):
        return f"column {name} is missing throughout"
    if len(missing) and not ("derivative" in name and list(missing) == [0]):
        return f"column {name} is missing in {describe_rows(missing)} of {len(column)}"
    if column.dtype == object:
        row, text = next((row, cell) for row, cell in enumerate(column, start=1) if _is_text(cell))
        return f"column {name} holds {text!r} in row {row}"
    if len(infinite := np.flatnonzero(np.isinf(column))):
        return f"column {name} is infinite in {describe_rows(infinite)} of {len(column)}"
    if _TISSUES.fullmatch(name) and len(column) > 1 and (column == column.iloc[0]).all():
        return f"column {name} is {column.iloc[0]:g} in every row, as of an empty mask"
    return None


def _is_text(cell: Any) -> bool:
    return isinstance(cell, str) and bool(pd.isna(pd.to_numeric(cell, errors="coerce")))


def describe_rows(rows: Sequence[int] | np.ndarray) -> str:
    """Put rows, counted from 0, in words that count from 1: ``rows 1, 5 to 9``."""
    starts = [row for index, row in enumerate(rows) if index == 0 or row != rows[index - 1] + 1]
    ends = [row for index, row in enumerate(rows) if index == len(rows) - 1 or row != rows[index + 1] - 1]
    spans = [
        f"{start + 1}" if start == end else f"{start + 1} to {end + 1}" for start, end in zip(starts, ends, strict=True)
    ]
    listed = ", ".join(spans[:3]) + (" and more" if len(spans) > 3 else "")
    return f"row{'s' * (len(rows) > 1)} {listed}"
