#!/usr/bin/env bash
# mlxtend 0.25.0: evaluate.proportion_difference, accuracies of 0.84 and 0.92 on 100 cases each (the example of its user guide).
# Expected: the p-value of "both are as accurate", the null hypothesis of the guide, which rejects at |z| > 1.96; here z = 1.75,
# p = 0.079, whichever of the two classifiers is named first.
# Seen: 0.040 with the worse classifier first ("statistically significant", says the guide), 0.960 with the better first. What is
# returned is the normal distribution at z: one-sided, so two accuracies that are equal get 0.5, and 0.99 against 0.50 gets 1.0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check mlxtend==0.25.0 scipy==1.17.1 numpy==2.4.6
cat > "$folder/check.py" <<'PYTHON'
from mlxtend.evaluate import proportion_difference
from scipy.stats import norm

seen = {pair: proportion_difference(*pair, 100) for pair in [(0.84, 0.92), (0.92, 0.84), (0.9, 0.9), (0.99, 0.5)]}
for (one, two), (z, p) in seen.items():
    print(f"accuracies {one:.2f} and {two:.2f}: z {z:+.2f}, p {p:.3f}; two-sided p {2 * norm.sf(abs(z)):.3f}")
assert abs(seen[0.84, 0.92][1] - 0.040) < 0.001, "the worse first has another p now"
assert abs(seen[0.92, 0.84][1] - 0.960) < 0.001, "the better first has another p now"
assert seen[0.99, 0.5][1] > 0.999, "a large difference has another p now"
PYTHON
"$folder/env/bin/python" "$folder/check.py"
