"""Where the simulated networks lie: smooth regions in both hemispheres, within grey matter, spread over the cortex."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import ndimage

from gradspec.cohort.simulate_head import Template, sample

_MIN_GREY_MATTER = 0.5  # share of grey matter about the centre of a region
_NO_GREY_MATTER, _LOWEST = 0.01, 0.02  # what is cut off
_MIN_BRAIN = 0.8  # share of brain about it, so that no region hangs on the edge of the brain
_LOWEST_Z = -24.0  # mm; below lie the tips of the temporal lobes
_CEREBELLUM_Y, _CEREBELLUM_Z = -35.0, -15.0  # mm; what lies behind and below is cerebellum or too near to it
_DEEP_CENTRE, _DEEP_REACH = (
    np.array([0.0, -20.0, -8.0]),
    np.array([36.0, 34.0, 28.0]),
)  # mm; box of basal ganglia and stem


@dataclass(frozen=True)
class Networks:
    """Regions of the networks; a network is the sum of its regions.

    Attributes
    ----------
    centre : array, shape (region, 3)
        Centres in template space, in millimetres.
    width : array, shape (region,)
        Standard deviation of the Gaussian profile, in millimetres.
    network : array of int, shape (region,)
        Network that a region belongs to.
    """

    centre: Float[np.ndarray, "region 3"]
    width: Float[np.ndarray, "region"]
    network: Int[np.ndarray, "region"]

    @property
    def n_networks(self) -> int:
        """Number of networks."""
        return int(self.network.max()) + 1


def place_networks(template: Template, n_networks: int, rng: np.random.Generator) -> Networks:
    """Place the regions of `n_networks` networks as far from one another as the cortex allows.

    Every second network has one region in each hemisphere, the others two; regions near the midline merge into one.

    Parameters
    ----------
    template : Template
        Anatomy.
    n_networks : int
        Number of networks.
    rng : Generator
        Draws where to begin, and which distant regions make a network.

    Returns
    -------
    Networks
        The regions; those of the right hemisphere mirror those of the left.
    """
    seeds_of_network = 1 + np.arange(n_networks) % 2
    candidates = _left_cortex(template)
    seeds, spacing = _spread(candidates, int(seeds_of_network.sum()), rng)
    network = rng.permutation(np.repeat(np.arange(n_networks), seeds_of_network))
    mirrored = seeds * np.array([-1.0, 1.0, 1.0])
    return Networks(
        centre=np.concatenate([seeds, mirrored]),
        width=np.full(2 * len(seeds), np.clip(0.3 * spacing, 5.0, 9.0)),
        network=np.concatenate([network, network]),
    )


def vary_networks(networks: Networks, rng: np.random.Generator) -> Networks:
    """Give the regions of one participant: moved by some millimetres, a little wider or narrower."""
    return Networks(
        centre=networks.centre + rng.normal(0.0, 1.5, networks.centre.shape),
        width=networks.width * rng.uniform(0.9, 1.1, networks.width.shape),
        network=networks.network,
    )


def network_maps(
    networks: Networks, points: Float[np.ndarray, "point 3"], grey_matter: Float[np.ndarray, "point"]
) -> Float[np.ndarray, "network point"]:
    r"""Evaluate the networks at points of template space.

    The map of network :math:`k` is :math:`g(x)\,\max_{j \in k} \exp(-\|x - c_j\|^2 / 2 s_j^2)`, with the share of grey
    matter :math:`g`, and is cut to zero below 2 %.

    Parameters
    ----------
    networks : Networks
        The regions.
    points : array, shape (point, 3)
        Where to evaluate, in millimetres.
    grey_matter : array, shape (point,)
        Share of grey matter there.

    Returns
    -------
    array, shape (network, point)
        Maps between 0 and 1.
    """
    maps: Float[np.ndarray, "network point"] = np.zeros((networks.n_networks, len(points)), dtype=np.float32)
    cortex = np.flatnonzero(grey_matter > _NO_GREY_MATTER)
    x, y, z = points[cortex].T
    for (cx, cy, cz), width, network in zip(networks.centre, networks.width, networks.network, strict=True):
        profile = np.exp(-0.5 * ((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2) / width**2) * grey_matter[cortex]
        maps[network, cortex] = np.maximum(maps[network, cortex], np.where(profile < _LOWEST, 0.0, profile))
    return maps


def _left_cortex(template: Template) -> Float[np.ndarray, "point 3"]:
    """Points of the left hemisphere's cortex, on a grid of 4 mm, in millimetres."""
    axes = (np.arange(-72.0, -3.0, 4.0), np.arange(-104.0, 72.0, 4.0), np.arange(_LOWEST_Z, 82.0, 4.0))
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    grey, brain = (
        sample(ndimage.gaussian_filter(volume, sigma), template.affine, points)
        for volume, sigma in ((template.grey_matter, 2.0), (template.brain, 3.0))
    )
    cerebellum = (points[:, 1] < _CEREBELLUM_Y) & (points[:, 2] < _CEREBELLUM_Z)
    deep = (np.abs(points - _DEEP_CENTRE) < _DEEP_REACH).all(axis=1)
    return np.asarray(points[(grey > _MIN_GREY_MATTER) & (brain > _MIN_BRAIN) & ~cerebellum & ~deep])


def _spread(
    candidates: Float[np.ndarray, "candidate 3"], n_points: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "point 3"], float]:
    """Pick points one by one, each the farthest from those picked before; also the smallest distance among them."""
    picked = [int(rng.integers(len(candidates)))]
    distance = np.linalg.norm(candidates - candidates[picked[0]], axis=1)
    spacing = np.inf
    while len(picked) < n_points:
        farthest = int(distance.argmax())
        spacing = float(distance[farthest])
        picked.append(farthest)
        distance = np.minimum(distance, np.linalg.norm(candidates - candidates[farthest], axis=1))
    return candidates[picked], spacing
