#!/usr/bin/env bash
# nibabel 5.4.2: a time series of a repetition time of 2 s, saved from NIfTI as .mgz and from .mgz as NIfTI.
# Expected: 2 s on both sides. nibabel's MGH header has the time in ms, as FreeSurfer has, and NIfTI has a field for the unit.
# Seen: nib.save(nifti, "bold.mgz") writes 0 ms. nib.save(mgz, "bold.nii.gz") writes 2000 with the unit "unknown": to whoever reads
# the usual seconds, 100 volumes last 55 hours. There and back is 0. Neither way warns; the voxel sizes are right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check nibabel==5.4.2 numpy==2.4.6
cat > "$folder/check.py" <<'PYTHON'
import os
import sys

import nibabel as nib
import numpy as np

os.chdir(sys.argv[1])
values, affine = np.zeros((4, 4, 4, 5), np.float32), np.diag([2.0, 2.0, 3.0, 1.0])
nifti = nib.Nifti1Image(values, affine)
nifti.header.set_zooms((2, 2, 3, 2))
nifti.header.set_xyzt_units("mm", "sec")
nib.save(nifti, "from_nifti.mgz")
mgz = nib.MGHImage(values, affine)
mgz.header.set_zooms((2, 2, 3, 2000))  # ms
nib.save(mgz, "own.mgz")
assert float(nib.load("own.mgz").header["tr"]) == 2000, ".mgz itself holds another time now"
nib.save(nib.load("own.mgz"), "from_mgz.nii.gz")
nib.save(nib.load("from_nifti.mgz"), "there_and_back.nii.gz")

sizes = [float(size) for size in nib.load("from_nifti.mgz").header.get_zooms()]
print(".mgz from NIfTI of 2 s:     ", sizes)
assert sizes == [2, 2, 3, 0], "the time of a NIfTI file goes into .mgz now"
for name, seen in {"from_mgz": 2000, "there_and_back": 0}.items():
    header = nib.load(f"{name}.nii.gz").header
    print(f"{name + '.nii.gz':28}", [float(size) for size in header.get_zooms()], header.get_xyzt_units())
    assert header.get_zooms()[3] == seen and header.get_xyzt_units()[1] == "unknown", f"{name} holds another time now"
PYTHON
"$folder/env/bin/python" "$folder/check.py" "$folder"
