#!/usr/bin/env bash
# nibabel 5.4.2: a surface map of p-values as GIFTI, with each of the three encodings of data inside the file.
# Expected: the same values, to the precision of the float32 they are declared as (some 7 significant digits); ASCII is one of the
# encodings the GIFTI standard offers, and none of them is meant to change the data.
# Seen: GIFTI_ENCODING_ASCII writes six decimals, whatever the size: 4e-7 comes back as 0, 1.4e-6 as 1e-6, and both without a warning, while
# Base64Binary and GZipBase64Binary give every bit. A map in tesla or in volt (1e-13, 1e-6) is 0 everywhere.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check nibabel==5.4.2 numpy==2.4.6
cat > "$folder/check.py" <<'PYTHON'
import numpy as np
from nibabel.gifti import GiftiDataArray, GiftiImage

p = np.array([0.25, 1.4e-6, 4e-7, 1e-13], np.float32)
seen = {}
for encoding in ("ASCII", "B64BIN", "B64GZ"):
    array = GiftiDataArray(p, intent="NIFTI_INTENT_PVAL", datatype="NIFTI_TYPE_FLOAT32", encoding=f"GIFTI_ENCODING_{encoding}")
    seen[encoding] = GiftiImage.from_bytes(GiftiImage(darrays=[array]).to_bytes()).agg_data()
    print(f"{encoding:7}", seen[encoding])
assert np.array_equal(seen["B64BIN"], p) and np.array_equal(seen["B64GZ"], p), "another encoding changes the data now"
assert np.array_equal(seen["ASCII"], np.array([0.25, 1e-6, 0, 0], np.float32)), "ASCII keeps other digits now"
PYTHON
"$folder/env/bin/python" "$folder/check.py"
