#!/usr/bin/env bash
# nipype 1.11.0: interfaces.utility.Merge, its inputs given where it is made, as every interface of nipype takes them.
# Expected: Merge(2, in1=..., in2=...) merges them, as Merge(2) with node.inputs.in1 = ... set afterwards does; or an error.
# Seen: an empty list. The inputs are set and then wiped, when the fields in1 and in2 are added a line later; the run succeeds, in
# a workflow too, and whatever comes after gets no files. Options (axis, no_flatten) that are given in the same call are
# kept, a misspelt in3 is as silent, and Select(inlist=..., index=...) of the same module takes its inputs.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check nipype==1.11.0 numpy==2.4.6
cat > "$folder/check.py" <<'PYTHON'
import logging
import os
import sys

from nipype import Node, Workflow
from nipype.interfaces.utility import Merge, Select

os.chdir(sys.argv[1])
logging.getLogger("nipype.workflow").setLevel("ERROR")
given = {"in1": ["rp_run-1.txt", "rp_run-2.txt"], "in2": "compcor.tsv"}
later = Merge(2)
later.inputs.trait_set(**given)
seen = {
    "set afterwards": later.run().outputs.out,
    "Merge(2, in1=..., in2=...)": Merge(2, **given).run().outputs.out,
    "with an in3 that is none": Merge(2, **given, in3="d.tsv").run().outputs.out,
}
node = Node(Merge(2, **given), "confounds")
workflow = Workflow("denoise", base_dir=sys.argv[1])
workflow.add_nodes([node])
seen["in a workflow"] = list(workflow.run().nodes)[0].result.outputs.out
seen["Select(inlist=..., index=...)"] = Select(inlist=given["in1"], index=[0, 1]).run().outputs.out
for name, out in seen.items():
    print(f"{name:30} {out}")
assert seen.pop("set afterwards") == [*given["in1"], given["in2"]], "Merge itself works another way now"
assert seen.pop("Select(inlist=..., index=...)") == given["in1"], "Select takes no inputs now"
assert all(out == [] for out in seen.values()), "Merge takes its inputs now"
assert Merge(2, axis="hstack", **given).inputs.axis == "hstack", "Merge loses its options as well now"
PYTHON
"$folder/env/bin/python" -W ignore "$folder/check.py" "$folder"
