"""Connectivity matrices and feature vectors that were made elsewhere: their checks, and the cohort's data set."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from gradspec.cohort.arrays import read_array
from gradspec.cohort.covariates import require_no_codes
from gradspec.cohort.datasets import features_dataset, fnc_dataset, numbered
from gradspec.cohort.findings import Finding, Run
from gradspec.cohort.identities import identify, join_ids
from gradspec.cohort.participants import RESERVED, Participant, participants_table
from gradspec.cohort.plan import data_file
from gradspec.cohort.tables import read_rows
from gradspec.errors import ConfigError, ParticipantError
from gradspec.progress import track

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


def examine_fnc(people: Sequence[Participant], cohort: Mapping[str, Any]) -> list[Finding]:
    """Check the matrix or feature vector of every participant.

    Parameters
    ----------
    people : sequence of Participant
        Rows of the participants table.
    cohort : mapping
        The section ``cohort`` of the configuration.

    Returns
    -------
    list of Finding
        One a participant.
    """
    vectors = _read_table(cohort, [person.id for person in people])
    findings = []
    for person in track(people, "check connectivity", total=len(people)):
        finding = Finding(person)
        try:
            if vectors is None:
                path = _file_of(person, cohort)
                values, form, names = _read_file(path, person.id, cohort)
            else:
                path = Path(cohort["fnc"]["table"]).expanduser()
                values, names = _row(vectors, person.id, path)
                form = f"{values.size} features"
            finding.runs.append(Run(file=str(path), form=form, names=names))
        except ParticipantError as fault:
            finding.faults.append(fault)
        findings.append(finding)
    return findings


def read_fnc(participants: "pd.DataFrame", runs: "pd.DataFrame", cohort: Mapping[str, Any]) -> "xr.Dataset":
    """Read the matrices or feature vectors of the cohort.

    Parameters
    ----------
    participants, runs : DataFrame
        ``cohort/participants.tsv`` and ``cohort/runs.tsv``.
    cohort : mapping
        The section ``cohort`` of the configuration.

    Returns
    -------
    Dataset
        Variable ``fnc`` (participant, component, component_2) with a zero diagonal, correlations as Fisher z; or
        ``features`` (participant, feature).
    """
    used = runs[runs["participant_id"].isin(participants["participant_id"])]
    vectors = _read_table(cohort, list(used["participant_id"]))
    arrays: list[np.ndarray] = []
    names: tuple[str, ...] = ()
    for row in track(used.itertuples(), "read connectivity", total=len(used)):
        if vectors is None:
            values, _, names = _read_file(Path(row.file), row.participant_id, cohort)
        else:
            values, names = _row(vectors, row.participant_id, Path(row.file))
        arrays.append(values)
    stacked = np.stack(arrays)
    ids = list(used["participant_id"])
    if stacked.ndim == 3:
        return fnc_dataset(stacked, ids)
    return features_dataset(stacked, ids, names or numbered("feature", stacked.shape[1]))


def _read_file(path: Path, participant: str, cohort: Mapping[str, Any]) -> tuple[np.ndarray, str, tuple[str, ...]]:
    """Read one file; a square array is a matrix, a single row or column a feature vector."""

    def fault(reason: str) -> ParticipantError:
        return ParticipantError(reason, participant=participant, file=path)

    values, names = read_array(path, participant, cohort["fnc"]["variable"], "cohort.fnc.variable")
    if 1 in values.shape:
        vector = values.ravel()
        if not np.isfinite(vector).all():
            raise fault(f"{(~np.isfinite(vector)).sum()} features are NaN or infinite; export it again")
        return vector, f"{vector.size} features", names if values.shape[0] == 1 else ()
    if values.shape[0] != values.shape[1]:
        raise fault(f"has shape {values.shape}, but a square matrix or a single row or column is expected")
    matrix, kind = _off_diagonal(values, fault)
    return matrix, f"{len(matrix)} components ({kind})", ()


def _off_diagonal(values: Float[np.ndarray, "component component"], fault: Any) -> tuple[np.ndarray, str]:
    """Check a matrix and set its diagonal to zero; correlations, known by a diagonal of ones, become Fisher z."""
    matrix = values.copy()
    np.fill_diagonal(matrix, 0.0)  # some programs write NaN, or the infinite Fisher z of one, there
    if not np.isfinite(matrix).all():
        raise fault(f"{(~np.isfinite(matrix)).sum()} values off the diagonal are NaN or infinite; export it again")
    if not matrix.any():
        raise fault("holds only zeros off the diagonal; export it again")
    gap = np.abs(matrix - matrix.T).max()
    if gap > 1e-5 * np.abs(matrix).max():
        raise fault(
            f"is not symmetric (largest difference {gap:.3g}); undirected connectivity is expected, so average the "
            "two halves"
        )
    matrix = (matrix + matrix.T) / 2
    if not np.allclose(np.diag(values), 1.0, atol=1e-5):
        return matrix, "taken as they are"
    if np.abs(matrix).max() >= 1:
        raise fault("has ones on its diagonal, but a correlation of 1 or more off it; two components are the same")
    return np.arctanh(matrix), "correlations"


def _file_of(person: Participant, cohort: Mapping[str, Any]) -> Path:
    column = cohort["fnc"]["file_column"]
    path = data_file(person, column, participants_table(cohort))
    if path is None:
        raise ParticipantError(
            f"the participants table names no file in column {column!r}; add it or take the row out",
            participant=person.id,
        )
    return path


def _read_table(cohort: Mapping[str, Any], participants: Sequence[str]) -> dict[str, dict[str, str]] | None:
    """Read the table of feature vectors, if the config names one: features by participant, as text."""
    path = cohort["fnc"]["table"]
    if not path:
        return None
    not_features = {*RESERVED, cohort["group"]["column"], *cohort["covariates"]}
    vectors: dict[str, dict[str, str]] = {}
    spellings: dict[str, str] = {}
    for row in read_rows(Path(path).expanduser(), missing_values=cohort["missing_values"]).rows:
        who = identify(row["participant_id"])
        if who in vectors:
            raise ConfigError(f"{path}: participant {who} is listed twice; keep one row a participant")
        spellings[who] = row["participant_id"]
        vectors[who] = {name: cell for name, cell in row.items() if name not in not_features}
    for name in next(iter(vectors.values()), {}):
        require_no_codes(name, {who: row[name] for who, row in vectors.items()}, str(path))
    joined = join_ids(spellings, participants, where=str(path), there="the participants table")
    return {known: vectors[who] for who, known in joined.items()}


def _row(table: Mapping[str, Mapping[str, str]], participant: str, path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the feature vector of a participant, and its names."""
    if participant not in table:
        raise ParticipantError(
            "the table of features has no row of this participant", participant=participant, file=path
        )
    row = table[participant]
    values = []
    for name, cell in row.items():
        try:
            values.append(float(cell))
        except ValueError:
            reason = f"feature {name!r} is {cell!r}, which is not a number; correct it or take the row out"
            raise ParticipantError(reason, participant=participant, file=path) from None
        if not np.isfinite(values[-1]):
            reason = f"feature {name!r} is {cell}; NaN and infinite values cannot be used"
            raise ParticipantError(reason, participant=participant, file=path)
    return np.array(values), tuple(row)
