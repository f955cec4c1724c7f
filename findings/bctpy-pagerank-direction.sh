#!/usr/bin/env bash
# bctpy 0.6.1: pagerank_centrality of a directed network, whose rows are the senders and whose columns the receivers (degrees_dir:
# "inputs are assumed to be on the columns").
# Expected: the share of time a walker spends at each node (docstring), walking along the connections: without restarts (d near 1) this is
# 1 / the mean time to come back, which mean_first_passage_time of the same package gives, and it is what networkx and igraph give.
# Seen: the walker goes backwards. In a network of senders and receivers those rank first that send most. The values are those of the
# transposed network, to the last digits. An undirected network does not show it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
  bctpy==0.6.1 networkx==3.6.1 igraph==1.0.0 scipy==1.17.1 numpy==2.4.6
cat > "$folder/check.py" <<'PYTHON'
import bct
import igraph
import networkx as nx
import numpy as np

strengths = np.linspace(0.1, 3, 6)
weights = np.random.default_rng(0).random((6, 6)) * np.outer(strengths[::-1], strengths)  # the first send, the last receive most
np.fill_diagonal(weights, 0)
graph = nx.from_numpy_array(weights, create_using=nx.DiGraph)
strong = (weights > 1).astype(float)
received = [degree for _, degree in nx.from_numpy_array(strong, create_using=nx.DiGraph).in_degree()]
assert bct.degrees_dir(strong)[0].tolist() == received, "bct and networkx differ in what is sent and received"


def walked(d):
    return np.array(list(nx.pagerank(graph, alpha=d, weight="weight", tol=1e-12, max_iter=5000).values()))


times = bct.mean_first_passage_time(weights)
chances = weights / weights.sum(axis=1, keepdims=True)
returns = 1 + np.sum(chances * times.T, axis=1)  # one step away, then from there back
for d in (0.85, 1 - 1e-9):
    seen, turned = bct.pagerank_centrality(weights, d), bct.pagerank_centrality(weights.T, d)
    peer = igraph.Graph.Weighted_Adjacency(weights).pagerank(damping=d, weights="weight")
    print(f"d = {d:.2f}")
    for name, values in {"bct": seen, "bct, transposed": turned, "networkx": walked(d), "igraph": peer}.items():
        print(f"  {name:16}", np.round(values, 3))
    assert np.allclose(turned, walked(d), atol=1e-6) and np.allclose(turned, peer, atol=1e-6), "the transposed network differs now"
    assert np.argmax(seen) != np.argmax(walked(d)) and not np.allclose(seen, turned, atol=0.02), "pagerank walks along now"
print("1 / bct's time to return", np.round(1 / returns, 3))
assert np.allclose(1 / returns, turned, atol=1e-6), "the time to return is another one now"
PYTHON
"$folder/env/bin/python" -W ignore "$folder/check.py"
