"""Linear registration on mutual information with SimpleITK: head motion (`precise`), BOLD to T1w, BOLD to a template.

Mattes' mutual information (Mattes et al. 2003, IEEE Transactions on Medical Imaging 22, 120) from a fixed sample of
the voxels, seeded so that a second run gives the same transform.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from gradspec.errors import ParticipantError
from gradspec.preprocess.geometry import from_itk_transform, image_centre, to_euler_transform, to_itk
from gradspec.preprocess.motion import flatten

_MOTION_SAMPLES = 15_000
_MOTION_SMOOTHING = 1.0  # voxels
_COREGISTRATION_GRID = 2.0  # mm; BOLD voxels are wider
_PITCHES = (-40.0, -20.0, 0.0, 20.0, 40.0)  # degrees; the way that slices are tilted, and heads lie, in a scanner
_RIM = 2  # voxels about the brain of a BOLD reference in which images are compared


def register_linearly(
    fixed: Any,
    moving: Any,
    start: Any,
    *,
    shrink: tuple[int, ...],
    smoothing: tuple[float, ...],
    sampling: float,
    step: float,
    fine: bool,
    seed: int,
    mask: Any,
) -> Any:
    """Register two SimpleITK images.

    Parameters
    ----------
    fixed, moving : Image
        float32 images.
    start : Euler3DTransform or AffineTransform
        Where to begin; it is not changed.
    shrink : tuple of int
        Shrink factor of each level.
    smoothing : tuple of float
        Standard deviation of the smoothing of each level, in mm.
    sampling : float
        Share of the voxels that the metric is computed from.
    step : float
        First step of the optimiser, in mm.
    fine : bool
        Powell's line searches, which end closer to the optimum than the gradient descent that is used otherwise: the
        metric is too rough for its gradient there. They need a start nearby.
    seed : int
        Seed of the sample.
    mask : Image
        Voxels of the fixed image that count.

    Returns
    -------
    Euler3DTransform or AffineTransform
        From points of `fixed` to points of `moving`, of the kind of `start`.

    Raises
    ------
    ParticipantError
        If the images do not overlap or the metric cannot be computed.
    """
    import SimpleITK as sitk

    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(numberOfHistogramBins=32)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(sampling, seed)
    method.SetMetricFixedMask(mask)
    method.SetInterpolator(sitk.sitkLinear)
    if fine:
        method.SetOptimizerAsPowell(
            numberOfIterations=10, maximumLineIterations=20, stepLength=step, stepTolerance=0.001, valueTolerance=1e-5
        )
    else:
        method.SetOptimizerAsRegularStepGradientDescent(
            learningRate=step, minStep=step / 50, numberOfIterations=100, relaxationFactor=0.6
        )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(shrink)
    method.SetSmoothingSigmasPerLevel(smoothing)
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetInitialTransform(type(start)(start), inPlace=False)
    try:
        found = method.Execute(fixed, moving)
    except RuntimeError as error:
        raise ParticipantError(f"linear registration failed ({_last_line(error)})") from error
    return type(start)(sitk.CompositeTransform(found).GetBackTransform())


def refine_volumes(
    volumes: Iterable[Float[np.ndarray, "x y z"]],
    starts: Float[np.ndarray, "time 4 4"],
    reference: Float[np.ndarray, "x y z"],
    mask: Bool[np.ndarray, "x y z"],
    affine: Float[np.ndarray, "4 4"],
    seed: int,
) -> Float[np.ndarray, "time 4 4"]:
    """Head motion by mutual information, from where another estimator ended.

    Both images are smoothed by a voxel, since what linear interpolation does to noise would pull them to the grid, and
    divided by their local mean (`flatten`).

    Parameters
    ----------
    volumes : iterable of array, shape (x, y, z)
        The run.
    starts : array, shape (time, 4, 4)
        World matrices to begin with.
    reference : array, shape (x, y, z)
        The image that the volumes are brought to.
    mask : array of bool, shape (x, y, z)
        Where the images are compared.
    affine : array, shape (4, 4)
        Voxel to world matrix of all of them.
    seed : int
        Seed of the sample of voxels.

    Returns
    -------
    array, shape (time, 4, 4)
        World matrices from the reference to each volume, in mm.
    """
    import SimpleITK as sitk

    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    fixed = to_itk(flatten(reference, spacing, _MOTION_SMOOTHING), affine)
    where = sitk.Cast(to_itk(mask.astype(np.float32), affine), sitk.sitkUInt8)
    centre = image_centre(reference.shape, affine)
    sampling = min(1.0, _MOTION_SAMPLES / max(1, int(mask.sum())))
    matrices = []
    for volume, start in zip(volumes, starts, strict=True):
        found = register_linearly(
            fixed,
            to_itk(flatten(volume, spacing, _MOTION_SMOOTHING), affine),
            to_euler_transform(start, centre),
            shrink=(1,),
            smoothing=(0.0,),
            sampling=sampling,
            step=0.05,
            fine=False,
            seed=seed,
            mask=where,
        )
        matrices.append(from_itk_transform(found))
    return np.stack(matrices)


def coregister(
    reference: Float[np.ndarray, "x y z"],
    affine: Float[np.ndarray, "4 4"],
    t1w: Float[np.ndarray, "x2 y2 z2"],
    t1w_affine: Float[np.ndarray, "4 4"],
    seed: int,
) -> Float[np.ndarray, "4 4"]:
    """Bring a BOLD reference to the T1w image.

    Parameters
    ----------
    reference : array, shape (x, y, z)
        Skull-stripped BOLD reference.
    affine : array, shape (4, 4)
        Its voxel to world matrix.
    t1w : array, shape (x2, y2, z2)
        Skull-stripped T1w image.
    t1w_affine : array, shape (4, 4)
        Its voxel to world matrix.
    seed : int
        Seed of the sample of voxels.

    Returns
    -------
    array, shape (4, 4)
        World matrix from boldref points to T1w points, in mm.
    """
    fixed, moving = to_itk(reference, affine), _coarsen(to_itk(t1w, t1w_affine), _COREGISTRATION_GRID)
    return from_itk_transform(_register_rigidly(fixed, moving, _brain_and_rim(fixed), seed, pitches=(0.0,)))


def normalize_epi(
    reference: Float[np.ndarray, "x y z"],
    affine: Float[np.ndarray, "4 4"],
    template: Float[np.ndarray, "x2 y2 z2"],
    template_affine: Float[np.ndarray, "4 4"],
    seed: int,
) -> Float[np.ndarray, "4 4"]:
    """Bring a BOLD reference to a template of its contrast: rigidly, and from there by an affine transform.

    The images are compared in the brain of the reference alone. What of the template's brain has no counterpart, since
    the field of view cuts it, is not asked for, and what was imaged is not stretched over the whole.

    Parameters
    ----------
    reference : array, shape (x, y, z)
        Skull-stripped BOLD reference.
    affine : array, shape (4, 4)
        Its voxel to world matrix.
    template : array, shape (x2, y2, z2)
        Skull-stripped template.
    template_affine : array, shape (4, 4)
        Its voxel to world matrix.
    seed : int
        Seed of the sample of voxels.

    Returns
    -------
    array, shape (4, 4)
        World matrix from boldref points to template points, in mm.
    """
    import SimpleITK as sitk

    fixed, moving = to_itk(reference, affine), to_itk(template, template_affine)
    near = _brain_and_rim(fixed)
    rigid = _register_rigidly(fixed, moving, near, seed, _PITCHES)
    best = sitk.AffineTransform(rigid.GetMatrix(), rigid.GetTranslation(), rigid.GetCenter())
    for shrink, smoothing, sampling, step in ((3, 6.0, 1.0, 1.0), (2, 3.0, 1.0, 0.5), (1, 1.5, 0.5, 0.3)):
        best = register_linearly(
            fixed,
            moving,
            best,
            shrink=(shrink,),
            smoothing=(smoothing,),
            sampling=sampling,
            step=step,
            fine=False,
            seed=seed,
            mask=near,
        )
    return from_itk_transform(best)


def _brain_and_rim(brain: Any) -> Any:
    """Voxels to compare: a brain's outline tells as much as its inside, the rest of the air tells nothing."""
    import SimpleITK as sitk

    return sitk.BinaryDilate(brain > 0, [_RIM] * 3)


def _register_rigidly(fixed: Any, moving: Any, near: Any, seed: int, pitches: tuple[float, ...]) -> Any:
    """Rigid registration of brains that may start far apart: from their headers, and from their middles, nodding."""
    import SimpleITK as sitk

    middle = sitk.Euler3DTransform(
        sitk.CenteredTransformInitializer(
            fixed, moving, sitk.Euler3DTransform(), sitk.CenteredTransformInitializerFilter.MOMENTS
        )
    )
    starts = [sitk.Euler3DTransform() for _ in range(1 + len(pitches))]
    starts[0].SetCenter(middle.GetCenter())
    for start, pitch in zip(starts[1:], pitches, strict=True):
        start.SetParameters((np.deg2rad(pitch), 0.0, 0.0, *middle.GetTranslation()))
        start.SetCenter(middle.GetCenter())
    candidates = []
    for transform in starts:
        found = register_linearly(
            fixed,
            moving,
            transform,
            shrink=(3,),
            smoothing=(6.0,),
            sampling=1.0,
            step=2.0,
            fine=False,
            seed=seed,
            mask=near,
        )
        candidates.append((_mutual_information(fixed, moving, found, seed), found))
    best = min(candidates, key=lambda pair: pair[0])[1]
    for shrink, smoothing, step, fine in ((2, 3.0, 0.5, False), (1, 1.0, 0.2, True)):
        best = register_linearly(
            fixed,
            moving,
            best,
            shrink=(shrink,),
            smoothing=(smoothing,),
            sampling=0.5,
            step=step,
            fine=fine,
            seed=seed,
            mask=near,
        )
    return best


def _coarsen(image: Any, edge: float) -> Any:
    """Average whole voxels until they are about `edge` mm wide."""
    import SimpleITK as sitk

    factors = [max(1, round(edge / spacing)) for spacing in image.GetSpacing()]
    return sitk.BinShrink(image, factors)


def _mutual_information(fixed: Any, moving: Any, transform: Any, seed: int) -> float:
    """Mattes' metric (the lower the better) after a transform."""
    import SimpleITK as sitk

    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(numberOfHistogramBins=32)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(0.5, seed)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetInitialTransform(transform)
    return float(method.MetricEvaluate(fixed, moving))


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1]
