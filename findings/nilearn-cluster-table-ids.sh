#!/usr/bin/env bash
# nilearn 0.14.1: get_clusters_table(two_sided=True, return_label_maps=True), one positive and two negative clusters.
# Expected: "Cluster ID" n of the table is the voxels of value n in the label maps (in 0.10.1 the maps were relabelled for this).
# Seen: the table counts on through the negative clusters (1, 2, 3), their map starts anew (1, 2). The voxels of value 2 in the
# negative map are the cluster that the table calls 3, so whoever takes "2" takes another place of another size, and "3" is
# empty. What is added for the negative side is the number of rows, sub-peaks included: with three of them the IDs are 1, 1a,
# 1b, 1c, 5, 6.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check nilearn==0.14.1 numpy==2.4.6 pandas==3.1.1
cat > "$folder/check.py" <<'PYTHON'
import nibabel as nib
import numpy as np
from nilearn.reporting import get_clusters_table

values = np.zeros((24, 24, 24), np.float32)
values[2:8, 2:5, 2:5] = np.linspace(6, 5, 6)[:, None, None]  # positive
values[2:5, 15:18, 2:5] = np.linspace(-8, -7, 3)[:, None, None]  # negative and strong, 27 voxels
values[15:20, 15:20, 15:20] = np.linspace(-5, -4, 5)[:, None, None]  # negative and weak, 125 voxels
stat_map = nib.Nifti1Image(values, np.eye(4))
table, maps = get_clusters_table(stat_map, 3, two_sided=True, return_label_maps=True)
print(table[["Cluster ID", "Peak Stat", "Cluster Size (mm3)"]].to_string(index=False))
negative = maps[1].get_fdata()
sizes = {number: int((negative == number).sum()) for number in (1, 2, 3)}
print("voxels (of 1 mm3) of value 1, 2 and 3 in the negative map:", sizes)
negatives = table[table["Peak Stat"] < 0]
named = dict(zip(map(str, negatives["Cluster ID"]), map(int, negatives["Cluster Size (mm3)"]), strict=True))
assert named == {"2": 27, "3": 125}, "the table numbers the negative clusters another way now"
assert sizes == {1: 27, 2: 125, 3: 0}, "the map numbers the negative clusters another way now"

values[2:8, 2:5, 2:5], values[2:22, 2:5, 2:5] = 0, 4
values[[3, 11, 20], 3, 3] = 7, 6, 5   # one positive cluster
table = get_clusters_table(nib.Nifti1Image(values, np.eye(4)), 3, two_sided=True, min_distance=4)
print("IDs where the positive cluster has sub-peaks:", *table["Cluster ID"])
assert [str(number) for number in table["Cluster ID"]] == ["1", "1a", "1b", "1c", "5", "6"], "sub-peaks do not count now"
PYTHON
"$folder/env/bin/python" -W ignore "$folder/check.py"
