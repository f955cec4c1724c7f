#!/usr/bin/env bash
# pymatreader 1.3.2 ("read .mat files disregarding of the underlying file version"): a table of 2 participants by 3 columns, which
# is a 2 x 3 cell array, in a file of MATLAB v7 and in one of v7.3.
# Expected: read_mat gives the same for both.
# Seen: two lists of three (the rows) from v7, one list of six from v7.3, column by column, without the shape: [0] is a participant
# in one and an id in the other, and rows that are cut from the six by threes mix the participants. Numbers and arrays are alike
# in both. MATLAB itself changes to v7.3 above 2 GB. (mat73 reads the v7.3 file as two lists of three.)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
  pymatreader==1.3.2 mat73==0.65 h5py==3.16.0 scipy==1.17.1 numpy==2.4.6
cat > "$folder/check.py" <<'PYTHON'
import os
import sys

import h5py
import mat73
import numpy as np
import scipy.io
from pymatreader import read_mat

os.chdir(sys.argv[1])
rows = [["sub-01", "control", 24.0], ["sub-02", "patient", 31.0]]
courses = np.arange(6.0).reshape(2, 3)
cells = np.empty((2, 3), object)
cells[:] = rows
scipy.io.savemat("v7.mat", {"participants": cells, "courses": courses})


def write(group, name, values, matlab_class, **attributes):
    """As MATLAB writes HDF5: the axes reversed, the class as an attribute."""
    data = group.create_dataset(name, data=values)
    data.attrs["MATLAB_class"] = np.bytes_(matlab_class)
    data.attrs.update(attributes)
    return data.ref


with h5py.File("v7.3.mat", "w", userblock_size=512) as file:
    write(file, "courses", courses.T, "double")
    references = np.empty((3, 2), h5py.ref_dtype)
    store = file.create_group("#refs#")
    for row, column in np.ndindex(2, 3):
        value, name = rows[row][column], f"r{row}{column}"
        if isinstance(value, str):
            codes = np.array([[ord(letter)] for letter in value], np.uint16)
            references[column, row] = write(store, name, codes, "char", MATLAB_int_decode=np.int32(2))
        else:
            references[column, row] = write(store, name, np.array([[value]]), "double")
    cell = file.create_dataset("participants", data=references, dtype=h5py.ref_dtype)
    cell.attrs["MATLAB_class"] = np.bytes_("cell")
with open("v7.3.mat", "r+b") as file:
    file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64, HDF5 schema 1.00 .".ljust(116) + bytes(8) + b"\x00\x02IM")

old, new, other = read_mat("v7.mat"), read_mat("v7.3.mat"), mat73.loadmat("v7.3.mat")
for name, seen in {"v7": old, "v7.3": new, "v7.3 by mat73": other}.items():
    print(f"{name:14}", seen["participants"])
assert np.array_equal(old["courses"], new["courses"]) and np.array_equal(new["courses"], courses), "the arrays differ now"
assert [[str(value) for value in row[:2]] for row in other["participants"]] == [row[:2] for row in rows], "mat73 reads otherwise"
assert [list(row) for row in old["participants"]] == rows, "v7 is read another way now"
assert new["participants"] == [rows[row][column] for column in range(3) for row in range(2)], "v7.3 is read another way now"
PYTHON
"$folder/env/bin/python" -W ignore "$folder/check.py" "$folder"
