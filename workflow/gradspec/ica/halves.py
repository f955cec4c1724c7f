"""Which components two halves of the participants agree on.

Random starts agree on whatever the data hold, be it shared by people or peculiar to a few of them, or noise that this
sample happens to hold. Halves of the participants share people's common sources only: their agreement tells real
components from spurious ones, where that of random starts does not. Participants are dealt at random into a few parts,
each merged on its own (`gradspec.ica.reduction`); a half is the merge of half of the parts, so that a further split
costs no further pass over the participants.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
from jaxtyping import Float

from gradspec.ica.decomposition import solve
from gradspec.ica.matching import assign
from gradspec.ica.reduction import RunningMerge, merge, whiten_group
from gradspec.progress import track

_PARTS = 8  # 35 different pairs of halves


def merge_parts(
    reductions: Iterable[Float[np.ndarray, "_ voxel"]], n_runs: Sequence[int], n_keep: int, *, batch: int = 4
) -> tuple[Float[np.ndarray, "direction voxel"], list[Float[np.ndarray, "_ voxel"]]]:
    """Merge the participants, all of them and in parts of about the same size.

    Parameters
    ----------
    reductions : iterable of arrays, (component, voxel)
        Principal components of a run at a time, participants in random order.
    n_runs : sequence of int
        Number of runs of each participant, in that order; all of them go to one part.
    n_keep : int
        Directions that are kept.
    batch : int
        Participants that are merged at a time, see `gradspec.ica.reduction.merge`.

    Returns
    -------
    basis : array, (direction, voxel)
        Merge of all participants.
    parts : list of arrays, (direction, voxel)
        Merge of each of eight parts of them, or of fewer where there are not as many participants.
    """
    whole, parts = RunningMerge(n_keep, batch), []
    supply = iter(reductions)
    for members in np.array_split(np.asarray(n_runs), min(_PARTS, len(n_runs))):
        part = RunningMerge(n_keep, batch)
        for reduction in islice(supply, int(members.sum())):
            whole.add(reduction)
            part.add(reduction)
        parts.append(part.basis())
    return whole.basis(), parts


def reproducibility(
    parts: Sequence[Float[np.ndarray, "_ voxel"]],
    components: Float[np.ndarray, "component voxel"],
    n_splits: int,
    *,
    seed: int,
    algorithm: str = "infomax",
    device: str = "cpu",
    n_jobs: int = 1,
) -> Float[np.ndarray, " component"]:
    """Correlate the components of two halves of the participants, over random splits.

    Parameters
    ----------
    parts : sequence of arrays, (direction, voxel)
        Bases of parts of the participants, at least two; see `merge_parts`.
    components : array, (component, voxel)
        Components of all participants (of mean zero), with which those of the halves are matched, one to one.
    n_splits : int
        Number of splits.
    seed : int
        Seed of splits and starts.
    algorithm, device : str
        See `gradspec.ica.decomposition.solve`.
    n_jobs : int
        Number of threads.

    Returns
    -------
    array, (component,)
        Mean over the splits of the absolute correlation of the component's two counterparts; 0 counts where a half has
        none.
    """
    unit = components / np.linalg.norm(components, axis=1, keepdims=True)

    def agreement(split: int) -> Float[np.ndarray, " component"]:
        order = np.random.default_rng([seed, 2, split]).permutation(len(parts))
        middle = len(parts) // 2
        first, second = (
            _counterparts([parts[i] for i in half], unit, [seed, 3, split, side], algorithm, device)
            for side, half in enumerate((order[:middle], order[middle:]))
        )
        return np.asarray(np.abs(np.einsum("cv,cv->c", first, second)))

    with ThreadPoolExecutor(n_jobs) as pool:
        splits = list(track(pool.map(agreement, range(n_splits)), "Halves of participants", total=n_splits))
    return np.asarray(np.mean(splits, axis=0))


def _counterparts(
    parts: Sequence[Float[np.ndarray, "_ voxel"]],
    components: Float[np.ndarray, "component voxel"],
    seed: Sequence[int],
    algorithm: str,
    device: str,
) -> Float[np.ndarray, "component voxel"]:
    """Decompose some parts; return the map that fits each component best, of norm 1 (0 where there is none)."""
    basis = merge(parts, len(components), batch=len(parts))
    whitened, _ = whiten_group(basis, min(len(components), len(basis)))
    maps = solve(whitened, np.random.default_rng(seed), algorithm, device).unmixing.astype(whitened.dtype) @ whitened
    maps -= maps.mean(axis=1, keepdims=True)
    maps /= np.linalg.norm(maps, axis=1, keepdims=True)
    index, _, _ = assign((maps @ components.T).astype(np.float64))
    return np.where(index[:, None] >= 0, maps[index], 0)


def shuffled(participants: Sequence[str], seed: int) -> tuple[list[int], list[int]]:
    """Bring runs into the order in which they are merged: participants at random, the runs of each together.

    Parameters
    ----------
    participants : sequence of str
        Participant of each run.
    seed : int
        Seed of the order.

    Returns
    -------
    order : list of int
        Positions of the runs.
    n_runs : list of int
        Number of runs of each participant, in that order.
    """
    runs: dict[str, list[int]] = {}
    for position, participant in enumerate(participants):
        runs.setdefault(participant, []).append(position)
    of_each = list(runs.values())
    drawn = [of_each[i] for i in np.random.default_rng([seed, 0]).permutation(len(of_each))]
    return [position for runs_of_one in drawn for position in runs_of_one], [len(part) for part in drawn]
