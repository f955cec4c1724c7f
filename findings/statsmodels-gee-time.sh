#!/usr/bin/env bash
# statsmodels 0.15.0: GEE with cov_struct.Autoregressive(grid=False) and `time`, visits after 0, 1, 2 and 10 years.
# Expected: the working correlation of two visits is r^(years between them), as the docstring says (it cites Rosner and Munoz on
# unequal spacing); and the order of the rows does not matter, since their times are given.
# Seen: r is estimated from the times, and then used as r^(rows between them). Visits 8 years apart are taken to correlate as
# those of one year, r instead of r^8. The same table, its rows shuffled, gives another coefficient and another standard
# error; Exchangeable does not. A participant who missed visits is treated as if there had been none between.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
  statsmodels==0.15.0 pandas==3.1.1 scipy==1.17.1 numpy==2.4.6
cat > "$folder/check.py" <<'PYTHON'
import numpy as np
import pandas as pd
import statsmodels.api as sm
import statsmodels.formula.api as smf

rng = np.random.default_rng(0)
years, n_people, r = np.array([0.0, 1.0, 2.0, 10.0]), 300, 0.8
correlation = r ** np.abs(np.subtract.outer(years, years))
noise = rng.standard_normal((n_people, 4)) @ np.linalg.cholesky(correlation).T
table = pd.DataFrame({"person": np.repeat(np.arange(n_people), 4), "year": np.tile(years, n_people)})
table["score"] = 0.1 * table["year"] + noise.ravel()
shuffled = table.sample(frac=1, random_state=0)


def fit(rows, structure):
    return smf.gee("score ~ year", "person", rows, time="year", cov_struct=structure).fit()


structures = {"Autoregressive": lambda: sm.cov_struct.Autoregressive(grid=False), "Exchangeable": sm.cov_struct.Exchangeable}
fits = {name: [fit(rows, structure()) for rows in (table, shuffled)] for name, structure in structures.items()}
for name, results in fits.items():
    for order, result in zip(("by visit", "shuffled"), results, strict=True):
        year, error, dependence = result.params["year"], result.bse["year"], result.cov_struct.dep_params
        print(f"{name:14} rows {order}: year {year:.4f}, standard error {error:.4f}, r {dependence:.3f}")
ordered = fits["Autoregressive"][0].cov_struct
used = ordered.covariance_matrix(np.zeros(4), 0)[0]
print(f"correlation of the visits of year 2 and 10: used {used[2, 3]:.3f}, r^8 = {ordered.dep_params**8:.3f}")
assert abs(ordered.dep_params - r) < 0.05, "r itself is estimated another way now"
assert used[2, 3] == ordered.dep_params, "the times enter the working correlation now"
gaps = {name: abs(two.params["year"] - one.params["year"]) / one.bse["year"] for name, (one, two) in fits.items()}
print("shuffling moves the coefficient by, in standard errors:", {name: round(gap, 3) for name, gap in gaps.items()})
assert gaps["Exchangeable"] < 1e-6 < 0.1 < gaps["Autoregressive"], "the order of the rows matters another way now"
PYTHON
"$folder/env/bin/python" -W ignore "$folder/check.py"
