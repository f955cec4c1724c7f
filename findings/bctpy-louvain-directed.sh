#!/usr/bin/env bash
# bctpy 0.6.1: modularity_louvain_dir, 40 directed networks of 20 nodes in four modules.
# Expected: the Louvain method (Blondel et al. 2008) joins modules until joining no two of them raises the modularity Q, so that none can be
# joined with profit in its result. On a symmetric network the directed Q is the undirected one, and so are its modules in quality.
# Seen: in nine of ten networks joining two of the modules raises Q. Given symmetric networks, in most of them, and its mean Q is below
# that of modularity_louvain_und, which leaves no such pair in any. The first pass is all there is: the pooled network of the modules is
# calculated, but the second pass works on the first nodes of the original one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check bctpy==0.6.1 scipy==1.17.1 numpy==2.4.6
cat > "$folder/check.py" <<'PYTHON'
from itertools import combinations

import bct
import numpy as np


def modularity(weights, modules):
    """Leicht and Newman (2008); that of undirected networks where the weights are symmetric."""
    total = weights.sum()
    by_chance = np.outer(weights.sum(axis=1), weights.sum(axis=0)) / total
    return np.sum((weights - by_chance)[modules[:, None] == modules]) / total


def joins_with_profit(weights, modules):
    q = modularity(weights, modules)
    pairs = combinations(np.unique(modules), 2)
    return any(modularity(weights, np.where(modules == one, other, modules)) > q + 1e-9 for one, other in pairs)


true = np.arange(20) % 4
joined, quality = {}, {}
for seed in range(40):
    rng = np.random.default_rng(seed)
    weights = rng.random((20, 20)) * (rng.random((20, 20)) < np.where(true[:, None] == true, 0.6, 0.08))
    np.fill_diagonal(weights, 0)
    symmetric = weights + weights.T
    for name, find, network in (
        ("louvain_dir, directed", bct.modularity_louvain_dir, weights),
        ("louvain_dir, symmetric", bct.modularity_louvain_dir, symmetric),
        ("louvain_und, symmetric", bct.modularity_louvain_und, symmetric),
    ):
        modules = np.asarray(find(network, seed=seed)[0])
        joined.setdefault(name, []).append(joins_with_profit(network, modules))
        quality.setdefault(name, []).append(modularity(network, modules))
for name in joined:
    print(f"{name}: two modules can be joined with profit in {sum(joined[name])} of 40, mean Q {np.mean(quality[name]):.3f}")
share = {name: np.mean(found) for name, found in joined.items()}
assert share["louvain_und, symmetric"] == 0, "the undirected method leaves modules to join now"
assert share["louvain_dir, directed"] > 0.7 and share["louvain_dir, symmetric"] > 0.4, "the directed method joins modules now"
PYTHON
"$folder/env/bin/python" -W ignore "$folder/check.py"
