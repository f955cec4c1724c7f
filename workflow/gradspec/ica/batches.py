"""How a large cohort is parted into batches that are merged side by side.

Two levels suffice: every job streams its input, so that its memory does not depend on how much that is, and with
thousands of participants each of the two levels has some dozens of files.
"""

from collections.abc import Sequence
from itertools import pairwise

_FEWEST = 8  # batches that are made at least, as halves of the participants are made of them


def part_into_batches(participants: Sequence[str], at_once: int) -> dict[str, list[str]]:
    """Part participants into batches of about the same size.

    Parameters
    ----------
    participants : sequence of str
        All participants.
    at_once : int
        Most participants that one job merges.

    Returns
    -------
    dict
        Members of each batch, by the name of its first; empty where one job merges all.
    """
    if len(participants) <= at_once:
        return {}
    n_batches = min(max(_FEWEST, -(-len(participants) // at_once)), len(participants))
    edges = [round(k * len(participants) / n_batches) for k in range(n_batches + 1)]
    parts = [list(participants[first:last]) for first, last in pairwise(edges)]
    return {part[0]: part for part in parts}
