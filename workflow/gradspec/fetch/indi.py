"""`python -m gradspec.fetch.indi SOURCE TARGET` arranges a data set of INDI, such as COBRE, as BIDS by links.

INDI's layout is ``<id>/session_1/anat_1/mprage.nii.gz`` and ``<id>/session_1/rest_1/rest.nii.gz``, with a table of
phenotypes (``COBRE_phenotypic_data.csv``: an id, Current Age, Gender, Subject Type).
"""

import argparse
import json
from pathlib import Path

from gradspec.cohort.tables import NOT_AVAILABLE, read_rows
from gradspec.errors import ConfigError
from gradspec.files import participant_id, write_json, write_text

_GROUPS = {"control": "control", "patient": "schizophrenia"}
_SEXES = {"male": "M", "female": "F"}
_COLUMNS = {
    "participant_id": "Participant, by INDI's id",
    "group": {"Description": "Subject Type", "Levels": {"control": "Control", "schizophrenia": "Patient"}},
    "age": {"Description": "Age", "Units": "year"},
    "sex": {"Description": "Sex", "Levels": {"M": "male", "F": "female"}},
}


def arrange(source: Path, target: Path, repetition_time: float = 2.0) -> list[str]:
    """Link the images of INDI's layout to BIDS names, and write the participants table.

    Parameters
    ----------
    source : path
        Folder with a folder for each participant, and the table of phenotypes.
    target : path
        Folder of the BIDS data set to make.
    repetition_time : float
        Time between volumes, in seconds, which INDI's files of COBRE say nothing of; 2 s as published.

    Returns
    -------
    list of str
        Ids of the participants with both images.

    Raises
    ------
    ConfigError
        If there is no table of phenotypes, or nobody in it has both images.
    """
    rows, lacking = [], []
    for person in _read_phenotypes(source):
        folder = source / person["id"] / "session_1"
        images = {"anat": folder / "anat_1" / "mprage.nii.gz", "func": folder / "rest_1" / "rest.nii.gz"}
        if person["group"] not in _GROUPS.values() or not all(image.is_file() for image in images.values()):
            lacking.append(person["id"])
            continue
        who = participant_id(person["id"])
        for kind, name in (("anat", f"{who}_T1w.nii.gz"), ("func", f"{who}_task-rest_bold.nii.gz")):
            link = target / who / kind / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(images[kind].resolve())
        rows.append("\t".join([who, person["group"], person["age"], person["sex"]]))
    if not rows:
        raise ConfigError(
            f"{source}: nobody in its table has session_1/anat_1/mprage.nii.gz and session_1/rest_1/rest.nii.gz; "
            "unpack the archives there, a folder a participant"
        )
    write_text("\n".join(["\t".join(_COLUMNS), *sorted(rows)]) + "\n", target / "participants.tsv")
    sidecar = {name: {"Description": text} if isinstance(text, str) else text for name, text in _COLUMNS.items()}
    write_json(sidecar, target / "participants.json")
    write_json({"RepetitionTime": repetition_time, "TaskName": "rest"}, target / "task-rest_bold.json")
    write_json(
        {"Name": source.name, "BIDSVersion": "1.10.0", "DatasetType": "raw"}, target / "dataset_description.json"
    )
    if lacking:
        print(f"left out, for want of an image or a group: {', '.join(sorted(lacking))}")
    return sorted(row.partition("\t")[0] for row in rows)


def _read_phenotypes(source: Path) -> list[dict[str, str]]:
    tables = sorted(source.glob("*phenotypic*.csv"))
    if len(tables) != 1:
        raise ConfigError(
            f"{source} has {len(tables)} tables *phenotypic*.csv, expected one; put INDI's table of phenotypes there"
        )
    people = []
    for row in read_rows(tables[0], key=None).rows:
        cells = {(name or "id").lower(): value for name, value in row.items()}
        label = cells.get("id") or next(iter(cells.values()))
        people.append(
            {
                "id": label.zfill(7) if label.isdigit() else label,
                "group": _GROUPS.get(cells.get("subject type", "").lower(), ""),
                "age": cells.get("current age", NOT_AVAILABLE),
                "sex": _SEXES.get(cells.get("gender", "").lower(), NOT_AVAILABLE),
            }
        )
    return people


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder in INDI's layout")
    parser.add_argument("target", type=Path, help="folder of the BIDS data set to make")
    arguments = parser.parse_args()
    try:
        print(json.dumps({"participants": len(arrange(arguments.source, arguments.target))}))
    except ConfigError as error:
        parser.exit(1, f"{error}\n")
