#!/usr/bin/env bash
# pybv 0.8.1, also as export_raw of MNE 1.13.2: an event whose description has a comma ("answer,2"), written as BrainVision.
# Expected: as the format has it, and as pybv itself writes into the head of each marker file: "Commas in type or description text are
# coded as \1". MNE reads that code.
# Seen: the comma is written as it is, and moves every field behind it. The event of 2.5 s comes back at 0.004 s, lasting 2.504 s instead of
# 0.5, under the name "answer", without a warning. Via EDF it comes back whole.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check mne==1.13.2 pybv==0.8.1 edfio==0.4.18 numpy==2.4.6
cat > "$folder/check.py" <<'PYTHON'
import os
import sys
from pathlib import Path

import mne
import numpy as np

os.chdir(sys.argv[1])
mne.set_log_level("ERROR")
raw = mne.io.RawArray(np.zeros((1, 2500)), mne.create_info(["Cz"], 250.0, "eeg"))
raw.set_annotations(mne.Annotations(onset=[1, 2.5], duration=[0, 0.5], description=["go", "answer,2"]))


def events(raw):
    marks = raw.annotations
    return [(round(float(mark["onset"]), 3), round(float(mark["duration"]), 3), str(mark["description"])) for mark in marks]


for name in ("run.edf", "run.vhdr"):
    mne.export.export_raw(name, raw)
edf = events(mne.io.read_raw_edf("run.edf"))
seen = events(mne.io.read_raw_brainvision("run.vhdr"))
markers = Path("run.vmrk").read_text(encoding="utf-8")
Path("run.vmrk").write_text(markers.replace("answer,2", r"answer\12"), encoding="utf-8")
coded = events(mne.io.read_raw_brainvision("run.vhdr"))
print(*[line for line in markers.splitlines() if "Commas" in line or line.startswith("Mk")], sep="\n")
for way, found in {"written": events(raw), "by EDF": edf, "by BrainVision": seen, "the comma coded": coded}.items():
    print(f"{way:16}", found)
assert edf == events(raw), "EDF changes the events now"
assert (2.5, 0.5, "Comment/answer,2") in coded, "MNE reads the code in another way now"
assert "Commas in type or description text are coded as" in markers, "pybv says something else of commas now"
assert (0.004, 2.504, "Comment/answer") in seen, "the event comes back in another way now"
PYTHON
"$folder/env/bin/python" -W ignore "$folder/check.py" "$folder"
