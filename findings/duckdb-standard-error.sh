#!/usr/bin/env bash
# DuckDB 2.0.1: sem(x), "the standard error of the mean" by its own list of functions, beside stddev(x), "the sample standard deviation".
# Expected: sem(x) = stddev(x) / sqrt(count(x)), as in pandas and scipy, which divide by n - 1.
# Seen: sem divides by n. A group of 4 gets 0.87 of its standard error, one of 2 gets 0.71, one person alone 0, the surest of all,
# where stddev gives NULL. Neither the name nor the description says so, and no other function has the right one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check duckdb==2.0.1 pandas==3.1.1 numpy==2.4.6
cat > "$folder/check.py" <<'PYTHON'
import duckdb
import numpy as np
import pandas as pd

listed = "SELECT DISTINCT function_name, description FROM duckdb_functions() WHERE function_name IN ('sem', 'stddev') ORDER BY 1"
print(*duckdb.sql(listed).fetchall(), sep="\n")
for n in (1, 2, 4, 10):
    table = pd.DataFrame({"score": np.arange(n) ** 1.5})
    connection = duckdb.connect()
    connection.register("scores", table)
    query = "SELECT sem(score), stddev(score) / sqrt(count(score)) FROM scores"
    sem, from_stddev = connection.execute(query).fetchone()
    print(f"n = {n:2}: sem {sem:.4f}, from stddev {from_stddev}, pandas {table['score'].sem():.4f}")
    assert np.isclose(sem, np.std(table["score"]) / np.sqrt(n)), "sem divides by something else now"
    if n > 1:
        assert np.isclose(from_stddev, table["score"].sem()), "stddev is not that of pandas now"
        assert sem < 0.96 * from_stddev, "sem and stddev agree now"
    else:
        assert sem == 0 and from_stddev is None, "one person is treated another way now"
PYTHON
"$folder/env/bin/python" "$folder/check.py"
