#!/usr/bin/env bash
# dipy 1.12.1: reorient_bvecs, after motion correction, of a gradient table with planar b-tensors (btens="PTE"), no volume rotated.
# Expected: the table that went in: "a GradientTable class instance with the reoriented directions", everything else as it was.
# Seen: the b-tensors are gone, without a warning; the table is one of ordinary, linear diffusion encoding then. The b-values, directions
# and both pulse durations are kept.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check dipy==1.12.1 scipy==1.17.1 numpy==2.4.6
cat > "$folder/check.py" <<'PYTHON'
import numpy as np
from dipy.core.gradients import gradient_table, reorient_bvecs

directions = np.vstack([np.zeros(3), np.eye(3)])
b_values = np.array([0, 1000, 1000, 1000])
before = gradient_table(b_values, bvecs=directions, btens="PTE", big_delta=0.04, small_delta=0.01)
after = reorient_bvecs(before, [np.eye(3)] * 3)
for name, table in {"before": before, "after": after}.items():
    tensor = None if table.btens is None else table.btens[1].tolist()
    print(f"{name:7} b {table.bvals.tolist()}, pulses {table.big_delta} and {table.small_delta} s, tensor of volume 1: {tensor}")
assert np.allclose(after.bvecs, before.bvecs) and np.array_equal(after.bvals, before.bvals), "the directions change now"
assert after.big_delta == before.big_delta and after.small_delta == before.small_delta, "the pulse durations are lost now"
assert np.allclose(before.btens[1], np.diag([0, 500, 500])), "planar tensors are other ones now"
assert after.btens is None, "the b-tensors are kept now"
PYTHON
"$folder/env/bin/python" -W ignore "$folder/check.py"
