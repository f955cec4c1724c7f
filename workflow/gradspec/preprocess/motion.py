"""Head motion by least squares (`fast`): Gauss-Newton with the gradient of the reference.

The inverse compositional form of image alignment (Baker and Matthews 2004, International Journal of Computer Vision
56, 221): the gradient belongs to the reference and is computed once, so an iteration is one interpolation and one
product with a 6-row matrix.
"""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from gradspec.preprocess.geometry import image_centre, rigid_matrix

_MAX_POINTS = 25_000
_MAX_ITERATIONS = 30
_TOLERANCE = 2e-4  # mm (and rad times 50 mm) below which a step ends the iteration


class LeastSquaresAligner:
    """Rigid alignment of volumes to one reference.

    A volume ``V`` is matched by minimising ``sum_x (a V(T x) - R(x))^2`` over the rigid transform ``T`` and the
    intensity scale ``a``, over points ``x`` of the brain.

    Parameters
    ----------
    reference : array, shape (x, y, z)
        The image that the volumes are brought to.
    mask : array of bool, shape (x, y, z)
        Where the images are compared.
    affine : array, shape (4, 4)
        Voxel to world (mm) matrix of both.
    smoothing : float
        Standard deviation, in voxels, of the Gaussian that both images are smoothed with; it makes the gradient
        trustworthy and keeps noise and interpolation from pulling at the estimate.
    """

    def __init__(
        self,
        reference: Float[np.ndarray, "x y z"],
        mask: Bool[np.ndarray, "x y z"],
        affine: Float[np.ndarray, "4 4"],
        smoothing: float = 1.0,
    ) -> None:
        self._smoothing = smoothing
        self._to_voxel = np.linalg.inv(affine)
        self._affine = affine
        self.centre = image_centre(reference.shape, affine)
        voxels = np.argwhere(mask)
        voxels = voxels[:: max(1, -(-len(voxels) // _MAX_POINTS))]
        smooth = ndimage.gaussian_filter(reference.astype(np.float32), smoothing)
        # Central differences of the smooth image, in world axes.
        gradient = np.stack([axis[tuple(voxels.T)] for axis in np.gradient(smooth)], axis=1) @ self._to_voxel[:3, :3]
        self._points = voxels @ affine[:3, :3].T + affine[:3, 3]
        self._values = smooth[tuple(voxels.T)].astype(float)
        arm = self._points - self.centre
        self._jacobian = np.concatenate([gradient, np.cross(arm, gradient)], axis=1)
        self._limits = np.array(reference.shape, dtype=float) - 1

    def align(
        self, volume: Float[np.ndarray, "x y z"], start: Float[np.ndarray, "4 4"] | None = None
    ) -> Float[np.ndarray, "4 4"]:
        """Find where the tissue of the reference lies in `volume`.

        Parameters
        ----------
        volume : array, shape (x, y, z)
            The image to align.
        start : array, shape (4, 4), optional
            First guess, for instance the result of the volume before.

        Returns
        -------
        array, shape (4, 4)
            World matrix from reference to volume, in mm.
        """
        smooth = ndimage.gaussian_filter(volume.astype(np.float32), self._smoothing)
        coefficients = ndimage.spline_filter(smooth, order=3, output=np.float32, mode="mirror")
        matrix = np.eye(4) if start is None else start.copy()
        for _ in range(_MAX_ITERATIONS):
            step = self._step(coefficients, matrix)
            matrix = matrix @ np.linalg.inv(rigid_matrix(step, self.centre))
            if np.abs(step * [1, 1, 1, 50, 50, 50]).max() < _TOLERANCE:
                break
        return matrix

    def _step(
        self, coefficients: Float[np.ndarray, "x y z"], matrix: Float[np.ndarray, "4 4"]
    ) -> Float[np.ndarray, "parameter=6"]:
        """Rigid parameters that the reference would have to move by to look like the volume does now."""
        to_volume = self._to_voxel @ matrix
        where = self._points @ to_volume[:3, :3].T + to_volume[:3, 3]
        inside = ((where >= 0) & (where <= self._limits)).all(axis=1)
        values = ndimage.map_coordinates(coefficients, where[inside].T, order=3, mode="mirror", prefilter=False)
        fixed, jacobian = self._values[inside], self._jacobian[inside]
        scale = (values @ fixed) / max(values @ values, np.finfo(float).tiny)
        residual = scale * values - fixed
        step: np.ndarray = np.linalg.lstsq(jacobian.T @ jacobian, jacobian.T @ residual, rcond=1e-10)[0]
        return step


def align_volumes(
    volumes: Iterable[Float[np.ndarray, "x y z"]], aligner: LeastSquaresAligner
) -> Float[np.ndarray, "time 4 4"]:
    """Align volumes one after the other, each from where the one before ended."""
    matrices: list[np.ndarray] = []
    for volume in volumes:
        matrices.append(aligner.align(volume, matrices[-1] if matrices else None))
    return np.stack(matrices)
