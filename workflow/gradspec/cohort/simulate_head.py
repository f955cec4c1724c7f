"""The simulated head: brain tissue from the template, a scalp, a skull and a neck about it, and individual anatomy."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import ndimage

BRAIN_CENTRE = np.array([0.0, -22.0, 9.5])
"""Centre of the template's brain, in millimetres; heads are turned about it."""

_SHELL_MM = 4.0  # grid of the distances that make scalp and skull
_SHELL_LOW, _SHELL_HIGH = np.array([-110.0, -150.0, -150.0]), np.array([110.0, 120.0, 130.0])
_SCALP_MM = 13.0  # from the brain to the air
_WARP_MM, _WARP_SIGMA_MM = 8.0, 22.0


@dataclass(frozen=True)
class Template:
    """Anatomy in template space.

    Attributes
    ----------
    affine : array, shape (4, 4)
        From voxels of the tissue maps to millimetres.
    t1w, grey_matter, white_matter, brain : arrays, shape (x, y, z)
        T1-weighted intensity, shares of tissue, share of brain.
    shell_affine : array, shape (4, 4)
        From voxels of the two maps below to millimetres.
    depth : array
        Distance to the hull of the brain in millimetres, positive outside.
    rim : array
        Distance to the surface of the head in millimetres, positive inside.
    """

    affine: Float[np.ndarray, "4 4"]
    t1w: Float[np.ndarray, "x y z"]
    grey_matter: Float[np.ndarray, "x y z"]
    white_matter: Float[np.ndarray, "x y z"]
    brain: Float[np.ndarray, "x y z"]
    shell_affine: Float[np.ndarray, "4 4"]
    depth: Float[np.ndarray, "u v w"]
    rim: Float[np.ndarray, "u v w"]


def load_template() -> Template:
    """Load the ICBM 2009a template that nilearn ships, and build a head about it."""
    from nilearn import datasets

    image = datasets.load_mni152_template(resolution=1)
    brain = _halve(datasets.load_mni152_brain_mask(resolution=1).get_fdata(dtype=np.float32))
    affine = image.affine @ np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] -= 1.5 * image.affine.diagonal()[:3]  # half a voxel to the centre of eight, two back for the rim
    shell_affine, depth, rim = _shell(brain, affine)
    return Template(
        affine=affine,
        t1w=_halve(image.get_fdata(dtype=np.float32)),
        grey_matter=_halve(datasets.load_mni152_gm_template(resolution=1).get_fdata(dtype=np.float32)),
        white_matter=_halve(datasets.load_mni152_wm_template(resolution=1).get_fdata(dtype=np.float32)),
        brain=brain,
        shell_affine=shell_affine,
        depth=depth,
        rim=rim,
    )


def grid_affine(low: Float[np.ndarray, "3"], size: float) -> Float[np.ndarray, "4 4"]:
    """Affine of a grid with cubic voxels whose first centre is `low`, in millimetres."""
    affine = np.diag([size, size, size, 1.0])
    affine[:3, 3] = low
    return affine


def grid_points(shape: tuple[int, int, int], affine: Float[np.ndarray, "4 4"]) -> Float[np.ndarray, "point 3"]:
    """Centres of the voxels of an upright grid in millimetres, in C order."""
    axes = [low + step * np.arange(n) for low, step, n in zip(affine[:3, 3], affine.diagonal(), shape, strict=False)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1, dtype=np.float32).reshape(-1, 3)


def sample(
    volume: Float[np.ndarray, "x y z"], affine: Float[np.ndarray, "4 4"], points: Float[np.ndarray, "point 3"]
) -> Float[np.ndarray, "point"]:
    """Values of a volume at points in millimetres, by linear interpolation; the nearest edge value outside."""
    inverse = np.linalg.inv(affine)
    voxels = points @ inverse[:3, :3].T.astype(points.dtype) + inverse[:3, 3].astype(points.dtype)
    return np.asarray(ndimage.map_coordinates(volume, voxels.T, order=1, mode="nearest"))


@dataclass(frozen=True)
class Anatomy:
    """How one participant's head differs from the template.

    Attributes
    ----------
    scale : array, shape (3,)
        Size relative to the template along each axis.
    warp : array, shape (3, x, y, z)
        Smooth displacement in millimetres: the tissue at `x` of the participant (after `scale` is taken out) is that
        at ``x + warp(x)`` of the template.
    warp_affine : array, shape (4, 4)
        From voxels of `warp` to millimetres.
    """

    scale: Float[np.ndarray, "3"]
    warp: Float[np.ndarray, "3 x y z"]
    warp_affine: Float[np.ndarray, "4 4"]

    def to_template(self, points: Float[np.ndarray, "point 3"]) -> Float[np.ndarray, "point 3"]:
        """Where in the template the tissue of a participant comes from, both in millimetres."""
        displacement = [sample(axis, self.warp_affine, points) for axis in self.warp]
        return np.asarray(points + np.stack(displacement, axis=1))


def draw_anatomy(rng: np.random.Generator) -> Anatomy:
    """Draw an individual anatomy: up to 4 % larger or smaller along each axis, warped by 1 to 2.5 mm at most."""
    shape = np.ceil((_SHELL_HIGH - _SHELL_LOW) / _WARP_MM).astype(int) + 1
    warp = ndimage.gaussian_filter(
        rng.standard_normal((3, *shape)).astype(np.float32), (0, *[_WARP_SIGMA_MM / _WARP_MM] * 3)
    )
    warp *= rng.uniform(1.0, 2.5) / np.linalg.norm(warp, axis=0).max()
    return Anatomy(scale=rng.uniform(0.96, 1.04, 3), warp=warp, warp_affine=grid_affine(_SHELL_LOW, _WARP_MM))


def shell(
    depth: Float[np.ndarray, "point"],
    rim: Float[np.ndarray, "point"],
    *,
    fluid: float,
    skull: float,
    muscle: float,
    scalp: float,
) -> Float[np.ndarray, "point"]:
    """Intensity of what surrounds the brain: fluid, skull, muscle below and in front, a rim of scalp, then air.

    Parameters
    ----------
    depth, rim : arrays, shape (point,)
        Distances to the brain and to the surface of the head, in millimetres; see `Template`.
    fluid, skull, muscle, scalp : float
        Intensities.

    Returns
    -------
    array, shape (point,)
        Intensity; it changes from one tissue to the next over a millimetre or two.
    """
    inner = np.interp(depth, [1.5, 3.0, 8.0, 10.0], [fluid, skull, skull, muscle])
    share_of_scalp = np.interp(rim, [4.0, 6.0], [1.0, 0.0])
    share_of_head = np.interp(rim, [-1.0, 1.0], [0.0, 1.0])
    return np.asarray(share_of_head * (share_of_scalp * scalp + (1.0 - share_of_scalp) * inner), dtype=np.float32)


def _halve(volume: Float[np.ndarray, "a b c"]) -> Float[np.ndarray, "x y z"]:
    """Mean of every block of 2 × 2 × 2 voxels, within a rim of zeros, so that nothing is found outside."""
    x, y, z = (n // 2 for n in volume.shape)
    blocks = volume[: 2 * x, : 2 * y, : 2 * z].reshape(x, 2, y, 2, z, 2)
    return np.pad(blocks.mean(axis=(1, 3, 5)), 1)


def _shell(
    brain: Float[np.ndarray, "x y z"], brain_affine: Float[np.ndarray, "4 4"]
) -> tuple[Float[np.ndarray, "4 4"], Float[np.ndarray, "u v w"], Float[np.ndarray, "u v w"]]:
    """Distances to the hull of the brain and to the surface of a head with face and neck, and their affine."""
    affine = grid_affine(_SHELL_LOW, _SHELL_MM)
    axes = [np.arange(low, high, _SHELL_MM) for low, high in zip(_SHELL_LOW, _SHELL_HIGH, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    inverse = np.linalg.inv(brain_affine) @ affine
    coarse = ndimage.affine_transform(
        brain, inverse[:3, :3], inverse[:3, 3], output_shape=np.broadcast_shapes(x.shape, y.shape, z.shape), order=1
    )
    hull = ndimage.gaussian_filter(coarse, 4.0 / _SHELL_MM) > 0.5
    hull = ndimage.binary_closing(hull, ndimage.generate_binary_structure(3, 1), iterations=4)
    depth = _signed_distance(hull)
    neck = ((x / 55.0) ** 2 + ((y + 30.0) / 60.0) ** 2 < 1.0) & (z < -20.0)
    face = (x / 62.0) ** 2 + ((y - 30.0) / 62.0) ** 2 + ((z + 60.0) / 75.0) ** 2 < 1.0
    nose = (x / 14.0) ** 2 + ((y - 92.0) / 22.0) ** 2 + ((z + 58.0) / 22.0) ** 2 < 1.0
    head = ndimage.gaussian_filter(((depth < _SCALP_MM) | neck | face | nose).astype(np.float32), 1.0) > 0.5
    return affine, depth, -_signed_distance(head)


def _signed_distance(mask: np.ndarray) -> Float[np.ndarray, "u v w"]:
    """Distance to the border of a mask in millimetres, negative inside."""
    outside = ndimage.distance_transform_edt(~mask, sampling=_SHELL_MM)
    inside = ndimage.distance_transform_edt(mask, sampling=_SHELL_MM)
    return np.asarray(outside - inside, dtype=np.float32)
