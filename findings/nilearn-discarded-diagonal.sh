#!/usr/bin/env bash
# nilearn 0.14.1: ConnectivityMeasure(vectorize=True, discard_diagonal=True).inverse_transform(vectors, diagonal=...).
# Expected: given "the diagonals of the connectivity matrices", as its docstring asks for, it returns the matrices.
# Seen: their diagonals times 1.41, for covariance and precision; the edges are right. Correlations of what comes back are 0.71 of
# the true ones, and a precision matrix put back this way is no inverse of the covariance. For tangent the whole matrix is wrong.
# The diagonal is expected already divided by sqrt(2), which only a function underneath (vec_to_sym_matrix) says, of itself.
# "correlation" fills its diagonal in by itself, so that the case most people try works.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check nilearn==0.14.1 scikit-learn==1.9.1 numpy==2.4.6
cat > "$folder/check.py" <<'PYTHON'
import numpy as np
from nilearn.connectome import ConnectivityMeasure, cov_to_corr

rng = np.random.default_rng(0)
covariance = np.array([[2.0, 0.9, 0.3], [0.9, 3.0, 0.6], [0.3, 0.6, 4.0]])
courses = [rng.standard_normal((100, 3)) @ np.linalg.cholesky(covariance).T for _ in range(5)]
true = ConnectivityMeasure(kind="covariance").fit_transform(courses)
ratios = {}
for kind in ("covariance", "precision", "tangent"):
    matrices = ConnectivityMeasure(kind=kind).fit_transform(courses)
    measure = ConnectivityMeasure(kind=kind, vectorize=True, discard_diagonal=True)
    vectors = measure.fit_transform(courses)
    diagonal = np.diagonal(matrices, axis1=1, axis2=2)
    back = measure.inverse_transform(vectors, diagonal=diagonal)
    scaled = measure.inverse_transform(vectors, diagonal=diagonal / np.sqrt(2))
    expected = true if kind == "tangent" else matrices  # the inverse of tangent gives covariances
    ratios[kind] = np.abs(back / expected)
    print(f"{kind}: what comes back over what went in, of the first participant\n{ratios[kind][0].round(2)}")
    assert np.allclose(scaled, expected, atol=1e-6), "a scaled diagonal is taken another way now"
    if kind == "covariance":
        print("correlation of regions 1 and 2:", [round(float(cov_to_corr(m[0])[0, 1]), 3) for m in (expected, back)])
for kind in ("covariance", "precision"):
    assert np.allclose(np.diagonal(ratios[kind], axis1=1, axis2=2), np.sqrt(2)), "the diagonal comes back another way now"
    assert np.allclose(ratios[kind][:, 0, 1], 1), "the edges come back another way now"
assert np.abs(ratios["tangent"] - 1).max() > 0.1, "tangent comes back another way now"
PYTHON
"$folder/env/bin/python" -W ignore "$folder/check.py"
