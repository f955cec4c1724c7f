"""Connectivity matrices and feature vectors that were made elsewhere: their checks, and the cohort's data set."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gradspec.cohort.arrays import ArrayFile, read_array
from gradspec.cohort.covariates import require_no_codes
from gradspec.cohort.datasets import features_dataset, fnc_dataset, numbered
from gradspec.cohort.findings import DataFile, Finding
from gradspec.cohort.identities import identify, join_ids
from gradspec.cohort.matrices import BEYOND_ONE, Matrix, examine_matrix, fisher_z, split_stack, without_labels
from gradspec.cohort.participants import RESERVED, Participant, participants_table
from gradspec.cohort.plan import data_file
from gradspec.cohort.tables import read_rows
from gradspec.errors import ConfigError, ParticipantError
from gradspec.progress import track

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

_VARIABLE = "cohort.fnc.variable"
_IN_WORDS = {"r": "correlations", "z": "Fisher z"}


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

    Raises
    ------
    ConfigError
        If nothing says whether the matrices hold correlations or Fisher z, or a file of everybody cannot be used.
    """
    source = _Source(cohort, [person.id for person in people])
    findings, matrices = [], []
    for person in track(people, "check connectivity", total=len(people)):
        finding = Finding(person)
        findings.append(finding)
        try:
            path = source.path_of(person)
            found = source.read(person.id, path)
            if isinstance(found, Matrix):
                matrices.append((finding, path, found))
            else:
                values, names, notes = found
                finding.runs.append(DataFile(file=str(path), form=f"{values.size} features", names=names))
                finding.notes += notes
        except ParticipantError as fault:
            finding.faults.append(fault)
    common = _common_kind([matrix for _, _, matrix in matrices], cohort)
    for finding, path, matrix in matrices:
        try:
            kind = _kind_of(matrix, common, finding.participant.id, path, cohort["fnc"]["values"])
            _require_coverage(matrix, cohort["fnc"]["max_constant"], finding.participant.id, path)
            form = f"{len(matrix.values)} components ({_IN_WORDS[kind]})"
            finding.runs.append(DataFile(file=str(path), form=form, names=matrix.names, reading=kind))
            finding.notes += matrix.notes
            if matrix.lost:
                finding.notes.append(f"no connectivity of region {_listed(matrix.lost)}, kept as zeros")
        except ParticipantError as fault:
            finding.faults.append(fault)
    return findings


def read_fnc(participants: "pd.DataFrame", runs: "pd.DataFrame", cohort: Mapping[str, Any]) -> "xr.Dataset":
    """Read the matrices or feature vectors of the cohort.

    Parameters
    ----------
    participants, runs : DataFrame
        ``cohort/checked.tsv`` and ``cohort/runs.tsv``.
    cohort : mapping
        The section ``cohort`` of the configuration.

    Returns
    -------
    Dataset
        Variable ``fnc`` (participant, component, component_2) with a zero diagonal, correlations as Fisher z; or
        ``features`` (participant, feature).
    """
    used = runs[runs["participant_id"].isin(participants["participant_id"])]
    source = _Source(cohort, list(used["participant_id"]))
    arrays: list[np.ndarray] = []
    names: tuple[str, ...] = ()
    for row in track(used.itertuples(), "read connectivity", total=len(used)):
        found = source.read(row.participant_id, Path(row.file))
        if isinstance(found, Matrix):
            names = found.names
            arrays.append(fisher_z(found, row.reading, _fault(row.participant_id, Path(row.file))).astype(np.float32))
        else:
            values, names, _ = found
            arrays.append(values)
    stacked = np.stack(arrays)
    ids = list(used["participant_id"])
    if stacked.ndim == 3:
        return fnc_dataset(stacked, ids, names or numbered("component", stacked.shape[1]))
    return features_dataset(stacked, ids, names or numbered("feature", stacked.shape[1]))


class _Source:
    """Where the connectivity of a participant comes from: a file each, a stack of all, or a table of features."""

    def __init__(self, cohort: Mapping[str, Any], participants: Sequence[str]) -> None:
        self._cohort = cohort
        self._section = cohort["fnc"]
        self._vectors = _read_table(cohort, participants)
        self._stack = _read_stack(cohort)

    def path_of(self, person: Participant) -> Path:
        shared = self._section["table"] or self._section["stack"]
        return Path(shared).expanduser() if shared else _file_of(person, self._cohort)

    def read(self, participant: str, path: Path) -> Matrix | tuple[np.ndarray, tuple[str, ...], tuple[str, ...]]:
        """Read a matrix, or a feature vector, its names and what was left out."""
        if self._vectors is not None:
            return *_row(self._vectors, participant, path), ()
        fault = _fault(participant, path)
        if self._stack is not None:
            if participant not in self._stack:
                raise fault("has no matrix of this participant")
            found = ArrayFile(self._stack[participant])
        else:
            found = read_array(path, participant, self._section["variable"], _VARIABLE, header=self._section["header"])
        if 1 in found.values.shape:
            return _vector(found, fault)
        found = without_labels(found)
        n_rows, n_columns = found.values.shape
        if n_rows != n_columns:
            raise fault(f"has shape {(n_rows, n_columns)}, but a square matrix or a single row or column is expected")
        return examine_matrix(found, fault)


def _fault(participant: str, path: Path) -> Any:
    return lambda reason: ParticipantError(reason, participant=participant, file=path)


def _vector(found: ArrayFile, fault: Any) -> tuple[np.ndarray, tuple[str, ...], tuple[str, ...]]:
    vector = found.values.ravel()
    if not np.isfinite(vector).all():
        raise fault(f"{(~np.isfinite(vector)).sum()} features are NaN or infinite; export it again")
    return vector, found.columns if found.values.shape[0] == 1 else found.rows, found.notes


def _common_kind(matrices: Sequence[Matrix], cohort: Mapping[str, Any]) -> str:
    """Say what the matrices hold that do not say so: what the config says or, of one layout, what the others do."""
    if stated := cohort["fnc"]["values"]:
        return str(stated)
    kinds = {matrix.kind for matrix in matrices}
    if kinds == {""}:
        raise ConfigError(
            f"cohort.fnc.values is not set, and the {len(matrices)} matrices do not say themselves whether they hold "
            "correlations or Fisher z (no ones on the diagonal, no values beyond 1): write r or z"
        )
    return "z" if kinds == {"z", ""} and all(matrix.why in ("", BEYOND_ONE) for matrix in matrices) else ""


def _kind_of(matrix: Matrix, common: str, participant: str, path: Path, stated: str | None) -> str:
    """Say what a matrix holds, and refuse what contradicts it."""
    fault = _fault(participant, path)
    kind = common if stated else matrix.kind or common
    if not kind:
        raise fault(
            "may hold correlations or Fisher z: it has no ones on its diagonal and no values beyond 1, as others have; "
            "make it alike, or write cohort.fnc.values: r or z"
        )
    if stated == "r" and matrix.kind == "z":
        raise fault(f"holds Fisher z, by {matrix.why}, but cohort.fnc.values says r")
    fisher_z(matrix, kind, fault)
    return kind


def _require_coverage(matrix: Matrix, most: float, participant: str, path: Path) -> None:
    if (share := len(matrix.lost) / len(matrix.values)) > most:
        raise _fault(participant, path)(
            f"{len(matrix.lost)} of {len(matrix.values)} regions have no connectivity (zeros, or missing throughout), "
            f"{share:.0%}, more than cohort.fnc.max_constant = {most:g} allows: {_listed(matrix.lost)}"
        )


def _listed(names: Sequence[str], most: int = 10) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _file_of(person: Participant, cohort: Mapping[str, Any]) -> Path:
    column = cohort["fnc"]["file_column"]
    path = data_file(person, column, participants_table(cohort))
    if path is None:
        raise ParticipantError(
            f"the participants table names no file in column {column!r}; add it or take the row out",
            participant=person.id,
        )
    return path


def _read_stack(cohort: Mapping[str, Any]) -> dict[str, np.ndarray] | None:
    """Read the stack of matrices, if the config names one: matrices by participant, in the order of the table."""
    section = cohort["fnc"]
    if not section["stack"]:
        return None
    path = Path(section["stack"]).expanduser()
    ids = [identify(row["participant_id"]) for row in read_rows(participants_table(cohort)).rows]
    try:
        values = read_array(path, None, section["variable"], _VARIABLE, header=section["header"], stack=True).values
        return dict(zip(ids, split_stack(values, len(ids)), strict=True))
    except ParticipantError as error:
        raise ConfigError(str(error)) from error
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error


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
