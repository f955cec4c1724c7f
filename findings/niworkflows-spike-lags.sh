#!/usr/bin/env bash
# niworkflows 1.14.5: SpikeRegressors (fMRIPrep's motion_outlier columns), 40 volumes, framewise displacement above 0.5 in a few.
# Expected: lags=[-1, 0, 1, 2], the volumes that Power et al. (2012) censor, flags the volumes 19 to 22 where volume 20 moved:
# "frames to be censored relative to each flag". minimum_contiguous=5 flags four volumes left at the end as it does at the start.
# Seen: 19 to 23. Each lag is applied to what the lags before it have flagged, so that it is the sums of lags that count, and
# [0, 1, 2, 3] takes seven volumes instead of four; [0] and [0, 1] are right. And the last stretch of a run is counted
# one volume too long: four volumes at the end stay where four at the start are flagged.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check niworkflows==1.14.5 pandas==3.1.1 numpy==2.4.6
cat > "$folder/check.py" <<'PYTHON'
import os
import sys

import numpy as np
import pandas as pd
from niworkflows.interfaces.confounds import SpikeRegressors

os.chdir(sys.argv[1])


def flagged(moved, **options):
    displacement = np.full(40, 0.1)
    displacement[moved] = 0.9
    table = pd.DataFrame({"framewise_displacement": displacement, "std_dvars": np.ones(40)})
    table.to_csv("confounds.tsv", sep="\t", index=False)
    interface = SpikeRegressors(confounds_file="confounds.tsv", fd_thresh=0.5, dvars_thresh=1.5, **options)
    spikes = pd.read_csv(interface.run().outputs.confounds_file, sep="\t").filter(like="motion_outlier")
    return np.flatnonzero(spikes.any(axis=1)).tolist()


for lags, right in {(0,): True, (0, 1): True, (-1, 0, 1, 2): False, (0, 1, 2, 3): False}.items():
    seen, expected = flagged([20], lags=list(lags)), [20 + lag for lag in lags]
    print(f"volume 20 with lags {list(lags)}: {seen}, expected {expected}")
    assert (seen == expected) == right and set(seen) >= set(expected), "lags are applied another way now"
assert flagged([20], lags=[-1, 0, 1, 2]) == [19, 20, 21, 22, 23], "lags are applied another way now"
start, end = flagged([4], minimum_contiguous=5), flagged([35], minimum_contiguous=5)
print("at least five volumes, volume 4 moved: ", start, "\nat least five volumes, volume 35 moved:", end)
assert start == [0, 1, 2, 3, 4] and end == [35], "the last stretch is counted another way now"
PYTHON
"$folder/env/bin/python" -W ignore "$folder/check.py" "$folder"
