#!/usr/bin/env bash
# numpy 2.3.5 (its wheel, OpenBLAS 0.3.30): Generator.multivariate_normal, a seed, regions that correlate alike.
# Expected: the same seed draws the same numbers wherever the same numpy runs, to rounding.
# Seen: the kernels of two processors draw other numbers altogether, from the second column on. The covariance is factored by
# an SVD (the default of `method`), and its equal singular values leave the basis open; which it is, rounding decides. Each
# is a sound draw; but a simulated cohort is another on another machine. method="cholesky" draws the same on both.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.3.5
cat > "$folder/draw.py" <<'PYTHON'
import sys
import numpy as np

covariance = 0.5 * np.eye(6) + 0.5  # every two of six regions correlate by 0.5
draws = [np.random.default_rng(0).multivariate_normal(np.zeros(6), covariance, 200, method=m) for m in ("svd", "cholesky")]
print("the first row:", draws[0][0].round(2))
np.save(sys.argv[1], draws)
PYTHON
for kernels in Haswell Nehalem; do
  echo "kernels of $kernels:"
  env -u OPENBLAS_L2_SIZE OPENBLAS_CORETYPE=$kernels OPENBLAS_NUM_THREADS=1 \
    "$folder/env/bin/python" "$folder/draw.py" "$folder/$kernels.npy"
done
"$folder/env/bin/python" - "$folder" <<'PYTHON'
import sys
import numpy as np

one, two = (np.load(f"{sys.argv[1]}/{kernels}.npy") for kernels in ("Haswell", "Nehalem"))
differences = np.abs(one - two).max(axis=(1, 2))
print("largest difference by the default: %.2g, by method='cholesky': %.2g" % tuple(differences))
assert differences[0] > 0.5, "the default draws the same now"
assert differences[1] < 1e-12, "cholesky draws other numbers now"
PYTHON
