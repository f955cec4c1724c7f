"""Columns that stand in other tables than that of the participants: phenotypes, BIDS's sessions.tsv and scans.tsv."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gradspec.cohort.groups import kept_values
from gradspec.cohort.identities import identify, join_ids
from gradspec.cohort.layout import ImageFile, Selection, same_label
from gradspec.cohort.tables import NOT_AVAILABLE, Missing, Table, read_rows
from gradspec.errors import ConfigError

_OF_EACH = {"sessions.tsv": ("*_sessions.tsv",), "scans.tsv": ("*_scans.tsv", "ses-*/*_scans.tsv")}
"""Tables of which each participant has one (or one a session), below the participant's folder."""


class JoinedTables:
    """The tables of ``cohort.tables``: what they say of each participant.

    Parameters
    ----------
    cohort : mapping
        The section ``cohort`` of the configuration.
    listed : mapping
        How the participants table spells each id.
    folders : mapping of str to Path
        Folder of each participant, for ``sessions.tsv`` and ``scans.tsv``.

    Attributes
    ----------
    missing : list of Missing
    notes : dict of str to list of str
        What is said of a participant: another spelling of the id.
    """

    def __init__(self, cohort: Mapping[str, Any], listed: Mapping[str, str], folders: Mapping[str, Path]) -> None:
        self._cohort = cohort
        self._listed = listed
        self._folders = folders
        self.missing: list[Missing] = []
        self.notes: dict[str, list[str]] = {}
        self._tables = [
            (name, *(self._of_each(name) if name in _OF_EACH else self._of_all(Path(name).expanduser())))
            for name in cohort["tables"]
        ]

    @property
    def columns(self) -> list[str]:
        """All columns, in the order of the tables."""
        return [column for _, table, _ in self._tables for column in table.columns]

    def is_category(self, column: str) -> bool:
        """Say whether a sidecar lists the levels of a column."""
        return any(table.is_category(column) for _, table, _ in self._tables if column in table.columns)

    def values(self, column: str, given: Mapping[str, str]) -> dict[str, str]:
        """Return the value of each participant in a column.

        Parameters
        ----------
        column : str
        given : mapping
            What the participants table says, by participant; empty where it lacks the column.

        Raises
        ------
        ConfigError
            If rows or tables give a participant two values.
        """
        found = {who: {value: "the participants table"} for who, value in given.items() if value != NOT_AVAILABLE}
        for name, table, owners in self._tables:
            if column in table.columns:
                for who, row in zip(owners, table.rows, strict=True):
                    if who is not None and row[column] != NOT_AVAILABLE:
                        found.setdefault(who, {}).setdefault(row[column], name)
        for who, values in found.items():
            if len(values) > 1:
                said = " and ".join(f"{value!r} ({name})" for value, name in values.items())
                raise ConfigError(
                    f"{who}: column {column!r} has {said}, and which one is meant cannot be known; choose a session in "
                    "the section of the source (sessions), or write the value into the participants table"
                )
        return {who: next(iter(values)) for who, values in found.items()}

    def _of_all(self, path: Path) -> tuple[Table, list[str | None]]:
        """One table for everybody, rows of other sessions than those that are asked for left out."""
        table = self._read(path)
        who: dict[str, str] = {}
        for line, row in zip(table.lines, table.rows, strict=True):
            try:
                who[row["participant_id"]] = identify(row["participant_id"])
            except ConfigError as error:
                raise ConfigError(f"{path}, line {line}: participant_id {error}") from error
        back = {identity: spelling for spelling, identity in who.items()}
        owner = join_ids(back, self._listed, where=str(path), there="the participants table")
        for identity, known in owner.items():
            if identity != known:
                self.notes.setdefault(known, []).append(f"is {back[identity]!r} in {path.name}")
        return table, [
            owner.get(who[row["participant_id"]]) if self._is_of_session(row) else None for row in table.rows
        ]

    def _of_each(self, name: str) -> tuple[Table, list[str | None]]:
        """A table in each participant's folder; scans of other runs than those that are asked for are left out."""
        columns: list[str] = []
        rows: list[dict[str, str]] = []
        owners: list[str | None] = []
        sidecar: dict[str, Any] = {}
        for who, folder in self._folders.items():
            for path in sorted(path for pattern in _OF_EACH[name] for path in folder.glob(pattern)):
                table = self._read(path, None, folder.parent / Path(name).with_suffix(".json"))
                columns += [column for column in table.columns if column not in columns]
                sidecar |= table.sidecar
                kept = [row for row in table.rows if self._is_of_session(row) and self._is_of_run(row)]
                rows += kept
                owners += [who] * len(kept)
        if not columns:
            raise ConfigError(
                f"cohort.tables: none of the {len(self._listed)} participants has a table *_{name} in the folder "
                "sub-*; correct the name, or take it out"
            )
        whole = [dict.fromkeys(columns, NOT_AVAILABLE) | row for row in rows]
        return Table(name, columns, whole, [0] * len(whole), sidecar=sidecar), owners

    def _read(self, path: Path, key: str | None = "participant_id", inherited: Path | None = None) -> Table:
        own = path.with_suffix(".json")
        table = read_rows(
            path,
            key=key,
            missing_values=self._cohort["missing_values"],
            keep=kept_values(self._cohort),
            sidecar=inherited if inherited and not own.is_file() else own,
        )
        self.missing += [
            replace(cells, table=path.name if key else f"*_{path.name.rpartition('_')[2]}") for cells in table.missing
        ]
        return table

    def _is_of_session(self, row: Mapping[str, str]) -> bool:
        wanted = self._section().get("sessions", [])
        given = row.get("session_id", NOT_AVAILABLE).removeprefix("ses-")
        return not wanted or given == NOT_AVAILABLE or any(same_label(given, str(label)) for label in wanted)

    def _is_of_run(self, row: Mapping[str, str]) -> bool:
        """Say whether a row of scans.tsv is of a BOLD run that is asked for; rows of other tables all are."""
        if "filename" not in row or "filters" not in self._section():
            return True
        image, section = ImageFile.from_path(row["filename"]), self._section()
        is_task = section["task"] in (None, image.entities.get("task"))
        return image.entities["suffix"] == "bold" and is_task and Selection.from_config(section, "").matches(image)

    def _section(self) -> Mapping[str, Any]:
        section: Mapping[str, Any] = self._cohort.get(self._cohort["source"], {})
        return section


def find_joined(cohort: Mapping[str, Any], root: Path, participants: Sequence[str]) -> list[Path]:
    """List the tables of ``cohort.tables``, with the one whose sidecar those in the participants' folders share."""
    found = []
    for name in cohort["tables"]:
        if name in _OF_EACH:
            found += [path for who in participants for pattern in _OF_EACH[name] for path in (root / who).glob(pattern)]
        found.append(root / name if name in _OF_EACH else Path(name).expanduser())
    return found
