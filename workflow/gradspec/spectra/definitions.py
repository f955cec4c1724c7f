"""`python -m gradspec.spectra.definitions` writes the section of results/README.md that defines every feature."""

from collections.abc import Sequence
from pathlib import Path

from gradspec.files import atomic_path
from gradspec.spectra.alignment import ALIGNMENT
from gradspec.spectra.features import FEATURES
from gradspec.spectra.trajectories import SUMMARIES

HEADING = "## Features"

_FEATURES = """Of the singular values σ_1 ≥ … ≥ σ_r of a layer's gradient, of one group or pooled. Values up to
σ_1·max(m, n)·2^-23 of an m × n matrix are rounding of single precision and count as zero, in `log_condition_number` as
that bound, so that rounding about it changes little. A feature is computed in every step and averaged over each epoch.
Norms are of the mean over the samples of the group, so that groups of unequal size compare; each is there a second time
as `…_per_loss`, over the loss of the group, which makes it the norm of the gradient of the logarithm of that loss.
"""
_ALIGNMENT = """Where `training.alignment` asks for it, how the gradient A of a group lies to that of all other groups
together, B; θ_i are the principal angles between the spaces of their k = 2 leading singular vectors, or fewer where
either has a lower rank. Taken of one in `training.groupings_every` steps; with two groups it is the same for both:
"""
_SUMMARIES = "Of the trajectory y of a feature over the epochs e of a run:\n"


def describe_features() -> str:
    """Return the section of results/README.md: a table of the features and one of the summaries of trajectories."""
    features = [(f"`{each.name}`", each.formula, each.source) for each in FEATURES.values()]
    alignments = [(f"`{each.name}`", each.formula, each.source) for each in ALIGNMENT.values()]
    summaries = [(f"`{each.name}`", each.formula, each.unit) for each in SUMMARIES.values()]
    parts = [
        f"{HEADING}\n",
        _FEATURES,
        *_table(("feature", "formula", "source"), features),
        f"\n{_ALIGNMENT}",
        *_table(("feature", "formula", "source"), alignments),
        f"\n{_SUMMARIES}",
        *_table(("summary", "formula", "unit"), summaries),
    ]
    return "\n".join(parts) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines]


if __name__ == "__main__":
    page = Path(__file__).resolve().parents[3] / "results" / "README.md"
    introduction = page.read_text(encoding="utf-8").partition(HEADING)[0].rstrip()
    with atomic_path(page) as partial:
        partial.write_text(f"{introduction}\n\n{describe_features()}", encoding="utf-8")
