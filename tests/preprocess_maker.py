"""A small simulated participant on disk, for tests of the whole stage."""

from pathlib import Path
from typing import Any

import nibabel as nib
import xarray as xr

from gradspec.cohort.runs import BoldRun
from gradspec.cohort.simulate import simulate_design, simulate_participant
from gradspec.config import resolve

N_VOLUMES = 20
_COHORT = {"n_participants": 4, "n_volumes": N_VOLUMES, "n_networks": 2, "bold_voxel_size": 6.0, "t1w_voxel_size": 4.0}
QUICK = {"motion": "fast", "normalization": "affine", "resolution": 6.0}


def make_settings(**preprocess: Any) -> dict[str, Any]:
    """Return the section ``preprocess``, quick and coarse where nothing else is said."""
    settings: dict[str, Any] = resolve({"cohort": {"source": "simulated"}, "preprocess": {**QUICK, **preprocess}})
    return settings["preprocess"]


def make_run(folder: Path) -> tuple[BoldRun, xr.Dataset]:
    """Write the BOLD run of ``sub-01``, without T1w image, and return it with the truth."""
    simulated = resolve({"cohort": {"source": "simulated", "simulated": _COHORT}})["cohort"]["simulated"]
    design, _ = simulate_design(simulated, ["control", "patient"], 7)
    participant = simulate_participant("sub-01", design, simulated, 7)
    path = folder / "sub-01" / "func" / "sub-01_task-rest_bold.nii.gz"
    path.parent.mkdir(parents=True)
    nib.save(participant.bold, path)
    return BoldRun("sub-01", path, repetition_time=2.0, n_volumes=N_VOLUMES), participant.truth


def read_tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
