"""Tiny data sets of every kind that a cohort can come from, small enough to be made in each test.

Participants are ``sub-01``, ``sub-02``, …, in turn of the groups ``control`` and ``patient``.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import nibabel as nib
import numpy as np
import pandas as pd
import scipy.io

from gradspec.config import resolve

GRID = (4, 5, 6)
GROUPS = ("control", "patient")


def make_config(source: str, *, folds: int = 2, models: Sequence[str] = ("mlp",), **cohort: Any) -> dict[str, Any]:
    """Make a whole config, defaults filled in."""
    training = {"folds": folds, "models": {name: {} for name in models}}
    return resolve({"cohort": {"source": source, **cohort}, "training": training})


def make_ids(n: int) -> list[str]:
    return [f"sub-{index + 1:02d}" for index in range(n)]


def make_table(path: Path, columns: Mapping[str, Sequence[Any]]) -> Path:
    """Write a tab-separated table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(dict(columns)).to_csv(path, sep="\t", index=False, na_rep="n/a")
    return path


def make_participants(path: Path, n: int, **columns: Sequence[Any]) -> Path:
    """Write a participants table with the groups in turn, and ages."""
    groups = [GROUPS[index % 2] for index in range(n)]
    return make_table(
        path, {"participant_id": make_ids(n), "group": groups, "age": [20 + index for index in range(n)], **columns}
    )


def make_image(
    path: Path, shape: Sequence[int], *, repetition_time: float = 2.0, unit: str = "sec", seed: int = 0
) -> Path:
    """Write an image of positive noise; `repetition_time` is in the unit of the header."""
    values = np.random.default_rng(seed).integers(100, 1000, size=tuple(shape)).astype(np.int16)
    return save_image(path, values, repetition_time=repetition_time, unit=unit)


def save_image(path: Path, values: np.ndarray, *, repetition_time: float = 2.0, unit: str = "sec") -> Path:
    """Write an array as NIfTI with 3 mm voxels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(values, np.diag([3.0, 3.0, 3.0, 1.0]))
    image.header.set_xyzt_units("mm", unit)
    if values.ndim == 4:
        image.header["pixdim"][4] = repetition_time
    nib.save(image, path)
    return path


def make_json(path: Path, content: Mapping[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dict(content)))
    return path


def make_bids(
    root: Path,
    n: int = 4,
    *,
    sessions: Sequence[str | None] = (None,),
    tasks: Sequence[str] = ("rest",),
    runs: Sequence[str | None] = (None,),
    n_volumes: int = 40,
    extension: str = ".nii.gz",
    inherited_sidecar: bool = False,
) -> Path:
    """Write raw BIDS: a T1w image a session, and a BOLD image a session, task and run."""
    make_json(root / "dataset_description.json", {"Name": "tiny", "BIDSVersion": "1.10.0"})
    make_participants(root / "participants.tsv", n)
    for index, who in enumerate(make_ids(n)):
        for session in sessions:
            folder, stem = _folder(root, who, session)
            make_image(folder / "anat" / f"{stem}_T1w{extension}", GRID, seed=index)
            for task in tasks:
                for run in runs:
                    name = f"{stem}_task-{task}" + (f"_run-{run}" if run else "")
                    make_image(folder / "func" / f"{name}_bold{extension}", (*GRID, n_volumes), seed=index)
                    if not inherited_sidecar:
                        make_json(folder / "func" / f"{name}_bold.json", {"TaskName": task, "RepetitionTime": 2.0})
    if inherited_sidecar:
        for task in tasks:
            make_json(root / f"task-{task}_bold.json", {"TaskName": task, "RepetitionTime": 2.0})
    return root


def make_fmriprep(
    root: Path,
    n: int = 4,
    *,
    sessions: Sequence[str | None] = (None,),
    runs: Sequence[str | None] = (None,),
    spaces: Sequence[str] = ("space-MNI152NLin2009cAsym",),
    n_volumes: int = 40,
    grid: Sequence[int] = GRID,
) -> Path:
    """Write fMRIPrep derivatives: image, mask and confounds of every run in every space."""
    make_json(root / "dataset_description.json", {"Name": "tiny", "BIDSVersion": "1.10.0", "DatasetType": "derivative"})
    make_participants(root / "participants.tsv", n)
    for index, who in enumerate(make_ids(n)):
        for session in sessions:
            folder, stem = _folder(root, who, session)
            for run in runs:
                name = folder / "func" / (f"{stem}_task-rest" + (f"_run-{run}" if run else ""))
                for space in spaces:
                    make_image(Path(f"{name}_{space}_desc-preproc_bold.nii.gz"), (*grid, n_volumes), seed=index)
                    make_json(Path(f"{name}_{space}_desc-preproc_bold.json"), {"RepetitionTime": 2.0})
                    save_image(Path(f"{name}_{space}_desc-brain_mask.nii.gz"), np.ones(grid, np.uint8))
                make_confounds(Path(f"{name}_desc-confounds_timeseries.tsv"), n_volumes, seed=index)
    return root


def make_confounds(path: Path, n_volumes: int, *, seed: int = 0) -> Path:
    """Write a table of confounds with fMRIPrep's columns."""
    rng = np.random.default_rng(seed)
    names = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
    table = {name: 0.01 * rng.standard_normal(n_volumes) for name in (*names, "csf", "white_matter", "global_signal")}
    table["framewise_displacement"] = np.r_[np.nan, 0.05 * rng.random(n_volumes - 1)]
    return make_table(path, table)


def make_timeseries(folder: Path, n: int = 4, *, n_volumes: int = 50, n_regions: int = 6, suffix: str = ".1D") -> Path:
    """Write time courses, one file a participant; return the participants table."""
    files = []
    for index, who in enumerate(make_ids(n)):
        files.append(f"series/{who}{suffix}")
        values = np.random.default_rng(index).standard_normal((n_volumes, n_regions))
        save_array(folder / files[-1], values, [f"region{number}" for number in range(n_regions)])
    return make_participants(folder / "participants.tsv", n, timeseries=files)


def make_fnc(folder: Path, n: int = 4, *, n_components: int = 5, suffix: str = ".tsv") -> Path:
    """Write correlation matrices, one file a participant; return the participants table."""
    files = []
    for index, who in enumerate(make_ids(n)):
        files.append(f"fnc/{who}{suffix}")
        values = np.corrcoef(np.random.default_rng(index).standard_normal((n_components, 30)))
        save_array(folder / files[-1], values, [f"network{number}" for number in range(n_components)])
    return make_participants(folder / "participants.tsv", n, fnc=files)


def save_array(path: Path, values: np.ndarray, names: Sequence[str]) -> Path:
    """Write an array in the format of the suffix; text files get a header, ``.mat`` the variable ``data``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    match path.suffix:
        case ".npy":
            np.save(path, values)
        case ".mat":
            scipy.io.savemat(path, {"data": values, "TR": 2.0})
        case ".1D":
            np.savetxt(path, values, delimiter="\t", header="\t#".join(names), comments="#", fmt="%.10g")
        case suffix:
            separator = {".tsv": "\t", ".csv": ","}[suffix]
            np.savetxt(path, values, delimiter=separator, header=separator.join(names), comments="", fmt="%.10g")
    return path


def save_matlab_73(path: Path, content: Mapping[str, Any]) -> Path:
    """Write a file as MATLAB 7.3 does: HDF5 after a header of 512 bytes, axes in reverse order, cells by reference."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in content.items():
            _put_matlab(file, name, value)
    with path.open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file, made up".ljust(124) + b"\x00\x02IM")
    return path


def _put_matlab(group: h5py.Group, name: str, value: Any) -> h5py.Dataset | h5py.Group:
    if isinstance(value, Mapping):
        made = group.create_group(name)
        for field, inner in value.items():
            _put_matlab(made, field, inner)
        kind = "struct"
    elif isinstance(value, list):
        references = group.file.require_group("#refs#")
        cells = [_put_matlab(references, f"c{len(references)}", each).ref for each in value]
        made, kind = group.create_dataset(name, (len(cells), 1), h5py.ref_dtype), "cell"
        for at, cell in enumerate(cells):
            made[at, 0] = cell
    elif isinstance(value, str):
        made, kind = group.create_dataset(name, data=np.array([[ord(letter)] for letter in value], "u2")), "char"
    else:
        values = np.atleast_2d(np.asarray(value, dtype=float))
        kind = "double"
        if values.size:
            made = group.create_dataset(name, data=values.T)
        else:
            made = group.create_dataset(name, data=np.zeros(2, "u8"))
            made.attrs["MATLAB_empty"] = 1
    made.attrs["MATLAB_class"] = np.bytes_(kind)
    return made


def _folder(root: Path, who: str, session: str | None) -> tuple[Path, str]:
    if session is None:
        return root / who, who
    return root / who / f"ses-{session}", f"{who}_ses-{session}"
