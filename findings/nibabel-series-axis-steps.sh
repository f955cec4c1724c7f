#!/usr/bin/env bash
# nibabel 5.4.2: cifti2.SeriesAxis, the time axis of a dtseries file, sliced like the data it belongs to.
# Expected: axis[::2] has the time points of axis.time[::2] and the length of data[::2], as slicing has with every other axis of CIFTI-2.
# Seen: the last point is missing wherever the step does not divide the length: 3 of the 5 volumes 0, 2, 4 stay in the data, 2 in the axis.
# The length is rounded down. ScalarAxis, sliced alike, has all of them. Saved with the data it was cut for, it is refused; without them (a plot, onsets against volumes) nothing warns.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check nibabel==5.4.2 numpy==2.4.6
cat > "$folder/check.py" <<'PYTHON'
import numpy as np
from nibabel.cifti2 import ScalarAxis, SeriesAxis

wrong = []
for n in (5, 6, 100):
    series, data = SeriesAxis(start=0, step=2, size=n), np.zeros((n, 3))
    scalars = ScalarAxis([f"map {index}" for index in range(n)])
    for step in (1, 2, 3, -1, -2):
        chosen = slice(None, None, step)
        sizes = len(data[chosen]), len(scalars[chosen]), len(series[chosen])
        print(f"{n:3} volumes, step {step:2}: data {sizes[0]}, ScalarAxis {sizes[1]}, SeriesAxis {sizes[2]}")
        assert sizes[0] == sizes[1] == len(series.time[chosen]), "another axis is sliced in another way now"
        if sizes[2] != sizes[0]:
            wrong.append((n, step))
            assert sizes[2] == sizes[0] - 1, "more than the last point is missing now"
assert SeriesAxis(0, 2, 5)[::2].time.tolist() == [0, 4], "the axis holds other times now"
assert wrong == [(5, 2), (5, 3), (5, -2), (100, 3)], f"other steps are wrong now: {wrong}"
PYTHON
"$folder/env/bin/python" "$folder/check.py"
