"""Head motion by least squares (`fast`): Gauss-Newton with the gradient of the reference.

The inverse compositional form of image alignment (Baker and Matthews 2004, International Journal of Computer Vision
56, 221): the gradient belongs to the reference and is computed once, so an iteration is one interpolation and one
product with a 6-row matrix.

Both images are compared as cubic splines whose coefficients are the lightly smoothed voxels themselves. Solving for the
coefficients that pass through the voxels, as an interpolation would, costs as much as an iteration and only undoes some
of the smoothing, which is wanted here. They are divided by their local mean beforehand (`flatten`).
"""

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage

from gradspec.preprocess.geometry import image_centre, rigid_matrix

_MAX_POINTS = 15_000
_MAX_ITERATIONS = 30
_TOLERANCE = 2e-3  # mm (and rad times 50 mm) below which a step ends the iteration: the next would be ten times smaller
LOST = 0.5
"""Correlation with the reference below which a volume is not of the same head; a good volume has 0.9 and more."""

_NEIGHBOURHOOD = 27.0  # mm
_SPLINE = np.array([1, 4, 1]) / 6  # the cubic B-spline at whole numbers
_SPLINE_SLOPE = np.array([-1, 0, 1]) / 2  # and its derivative


def flatten(
    volume: Float[np.ndarray, "x y z"], spacing: Float[np.ndarray, "axis=3"], smoothing: float
) -> Float[np.ndarray, "x y z"]:
    """Smooth a volume and divide it by its local mean.

    Drifts, activity and the field of the coil brighten one side of the brain by a percent or two. Taken for motion of
    the edges, that is 0.1 mm; over a neighbourhood that is small beside the brain it cancels.

    Parameters
    ----------
    volume : array, shape (x, y, z)
        The image.
    spacing : array, shape (3,)
        Edges of a voxel, in mm.
    smoothing : float
        Standard deviation of the Gaussian, in voxels.

    Returns
    -------
    array, shape (x, y, z)
        float32, without unit; the same for a volume of twice the brightness.
    """
    smooth: np.ndarray = ndimage.gaussian_filter(volume, smoothing, output=np.float32, mode="mirror", truncate=3.0)
    widths = [2 * round(_NEIGHBOURHOOD / edge / 2) + 1 for edge in spacing]  # odd
    local = ndimage.uniform_filter(smooth, widths, mode="mirror")
    # An offset of about half the brain's signal: in the air there would be noise over noise otherwise.
    smooth /= local + max(1.5 * float(smooth.mean()), np.finfo(np.float32).tiny)
    return np.asarray(smooth)


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
        Standard deviation, in voxels, of the Gaussian that both images are smoothed with (beside the spline, which has
        0.58); it makes the gradient trustworthy and keeps noise and interpolation from pulling at the estimate.
    """

    def __init__(
        self,
        reference: Float[np.ndarray, "x y z"],
        mask: Bool[np.ndarray, "x y z"],
        affine: Float[np.ndarray, "4 4"],
        smoothing: float = 0.8,
    ) -> None:
        self._smoothing = smoothing
        self._to_voxel = np.linalg.inv(affine)
        self._spacing = np.linalg.norm(affine[:3, :3], axis=0)
        self.centre = image_centre(reference.shape, affine)
        voxels = np.argwhere(mask)
        voxels = voxels[:: max(1, -(-len(voxels) // _MAX_POINTS))]
        coefficients = flatten(reference, self._spacing, smoothing)
        slopes = [_at_voxels(coefficients, voxels, [axis == other for other in range(3)]) for axis in range(3)]
        gradient = np.stack(slopes, axis=1) @ self._to_voxel[:3, :3]
        self._points = voxels @ affine[:3, :3].T + affine[:3, 3]
        self._values = _at_voxels(coefficients, voxels, [False] * 3)
        arm = self._points - self.centre
        self._jacobian = np.concatenate([gradient, np.cross(arm, gradient)], axis=1)
        self._limits = np.array(reference.shape, dtype=float) - 1

    def align(
        self, volume: Float[np.ndarray, "x y z"], start: Float[np.ndarray, "4 4"] | None = None
    ) -> tuple[Float[np.ndarray, "4 4"], float]:
        """Find where the tissue of the reference lies in `volume`.

        Parameters
        ----------
        volume : array, shape (x, y, z)
            The image to align.
        start : array, shape (4, 4), optional
            First guess, for instance the result of the volume before.

        Returns
        -------
        matrix : array, shape (4, 4)
            World matrix from reference to volume, in mm.
        correlation : float
            Of both images there: far below 1, the volume is empty, of another head, or not found.
        """
        coefficients = flatten(volume, self._spacing, self._smoothing)
        matrix = np.eye(4) if start is None else start.copy()
        for _ in range(_MAX_ITERATIONS):
            step, correlation = self._step(coefficients, matrix)
            matrix = matrix @ np.linalg.inv(rigid_matrix(step, self.centre))
            if np.abs(step * [1, 1, 1, 50, 50, 50]).max() < _TOLERANCE:
                break
        return matrix, correlation

    def _step(
        self, coefficients: Float[np.ndarray, "x y z"], matrix: Float[np.ndarray, "4 4"]
    ) -> tuple[Float[np.ndarray, "parameter=6"], float]:
        """Rigid parameters that the reference would have to move by to look like the volume, and their correlation."""
        to_volume = self._to_voxel @ matrix
        where = self._points @ to_volume[:3, :3].T + to_volume[:3, 3]
        inside = ((where >= 0) & (where <= self._limits)).all(axis=1)
        if not inside.any():
            return np.zeros(6), 0.0
        values = ndimage.map_coordinates(
            coefficients, where[inside].T, output=float, order=3, mode="mirror", prefilter=False
        )
        fixed, jacobian = self._values[inside], self._jacobian[inside]
        tiny = np.finfo(float).tiny
        residual = (values @ fixed) / max(values @ values, tiny) * values - fixed
        step: np.ndarray = np.linalg.lstsq(jacobian.T @ jacobian, jacobian.T @ residual, rcond=1e-10)[0]
        values, fixed = values - values.mean(), fixed - fixed.mean()
        return step, float(values @ fixed / max(np.sqrt((values @ values) * (fixed @ fixed)), tiny))


def _at_voxels(
    coefficients: Float[np.ndarray, "x y z"], voxels: Int[np.ndarray, "point axis=3"], slope: Sequence[bool]
) -> Float[np.ndarray, " point"]:
    """Value of a cubic spline at voxels, or its slope along the axes that `slope` marks."""
    for axis, differentiate in enumerate(slope):
        kernel = _SPLINE_SLOPE if differentiate else _SPLINE
        coefficients = ndimage.correlate1d(coefficients, kernel, axis=axis, mode="mirror")
    values: np.ndarray = coefficients[tuple(voxels.T)].astype(float)
    return values


def align_volumes(
    volumes: Iterable[Float[np.ndarray, "x y z"]], aligner: LeastSquaresAligner
) -> tuple[Float[np.ndarray, "time 4 4"], Float[np.ndarray, " time"]]:
    """Align volumes one after the other, each from where the last that was found lay.

    Returns
    -------
    matrices : array, shape (time, 4, 4)
        World matrices from the reference to each volume, in mm.
    correlations : array, shape (time,)
        Of each volume with the reference; below `LOST`, a volume was not found.
    """
    matrices: list[np.ndarray] = []
    correlations: list[float] = []
    start = None
    for volume in volumes:
        matrix, correlation = aligner.align(volume, start)
        start = start if correlation < LOST else matrix
        matrices.append(matrix)
        correlations.append(correlation)
    return np.stack(matrices), np.array(correlations)
