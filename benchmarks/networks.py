"""What the recorder makes of public networks: share, error, gradients, and the time of a step.

Networks are built small from their configurations, with random weights; the versions are those of
tests/networks/requirements.txt. A weight counts where it has two and more dimensions and is trained; embeddings are
asked for. The error is the largest difference of a singular value from that of a backward pass per group, in float64,
over the largest of its weight. Times are of toy sizes, at which recording costs most: CPU time of one thread, in
float32, medians of interleaved rounds. Run from the root of the project: ``python -m benchmarks.networks``.
"""

import argparse
import sys
import warnings
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "networks"))

from measuring import measure
from zoo import NETWORKS

HEAD = "| network | package | weights | share | error / σ₁ | gradients | time | not recorded |"


def main() -> None:
    """Print a row per network as soon as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="parts of the names of networks; all if none")
    parser.add_argument("--rounds", type=int, default=5, help="of the times; 0 leaves them out")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    print(HEAD, "|---" * HEAD.count(" |") + "|", sep="\n")
    n_covered, chosen = (
        0,
        [n for n in NETWORKS.values() if not arguments.names or any(p in n.name for p in arguments.names)],
    )
    for network in chosen:
        row = measure(network, arguments.rounds)
        n_covered += row.share >= 0.95
        lost = sorted({name.rpartition(".")[0].rpartition(".")[2] or name for name in row.missing})
        exactness = f"{row.error:.0e} | {row.gradient_error:.0e} | {row.ratio:.1f}"
        origin = f"{network.package} {network.version}"
        print(
            f"| {network.name} | {origin} | {row.n_weights} | {row.share:.1%} | {exactness} | {', '.join(lost)} |",
            flush=True,
        )
    print(f"\n{n_covered} of {len(chosen)} networks with a share of 95 % and more")


if __name__ == "__main__":
    main()
