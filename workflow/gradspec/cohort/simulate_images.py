"""The images of a simulated participant: a T1-weighted head and a BOLD run, each evaluated on the grid of the scanner.

Tissue is known in the participant's own space; a pose (and, volume by volume, the motion) carries it into the scanner.
Every volume is interpolated once, from maps finer than the image.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import nibabel as nib
import numpy as np
from jaxtyping import Float, Int16
from nibabel.affines import apply_affine
from scipy import ndimage

from gradspec.cohort.simulate_courses import nuisance_timecourses
from gradspec.cohort.simulate_head import BRAIN_CENTRE, Anatomy, Template, grid_affine, grid_points, sample, shell
from gradspec.cohort.simulate_motion import framewise_displacement, head_centre, rigid
from gradspec.cohort.simulate_networks import Networks, network_maps
from gradspec.errors import ConfigError
from gradspec.progress import track

_T1W_FIELD_OF_VIEW = np.array([208.0, 256.0, 240.0])  # mm
_BOLD_FIELD_OF_VIEW = np.array([208.0, 240.0, 200.0])
_MAX_VOXEL_MM = 12.0  # above, no network is left to be seen

_HEAD_BOX = np.array([[-92.0, -128.0, -106.0], [92.0, 104.0, 104.0]])  # mm of template space
_BRAIN_BOX = np.array([[-80.0, -116.0, -80.0], [80.0, 80.0, 90.0]])
_BASELINE_MM, _MODULATION_MM = 2.0, 4.0

_T1W_WHITE, _T1W_NOISE, _T1W_BIAS = 900.0, 0.02, 0.15
_T2STAR = {"fluid": 1500.0, "grey": 1050.0, "white": 850.0}  # arbitrary units, echo time about 30 ms
_MEAN_SIGNAL = 1000.0
_BOLD_BIAS = 0.1

_NETWORK_PERCENT = 1.5  # standard deviation at the peak of a network
_PULSATION_PERCENT, _RESPIRATION_PERCENT, _DRIFT_PERCENT = 2.0, 0.5, 1.0
_SPIN_HISTORY_PER_MM = 0.02  # signal lost in every other slice after a movement of a millimetre


@dataclass(frozen=True)
class Head:
    """Tissue of one participant, in millimetres of the participant's own space (the pose carries it to the scanner).

    Attributes
    ----------
    template : Template
        Anatomy that it comes from.
    anatomy : Anatomy
        How it differs.
    """

    template: Template
    anatomy: Anatomy

    @cached_property
    def baseline(self) -> Float[np.ndarray, "x y z"]:
        """BOLD signal at rest on the grid of `_HEAD_BOX`, before the image's own blur; 1000 on average in the brain."""
        shape, affine = _box(_HEAD_BOX, _BASELINE_MM)
        points = self.anatomy.to_template(grid_points(shape, affine))
        depth, rim = (
            sample(volume, self.template.shell_affine, points) for volume in (self.template.depth, self.template.rim)
        )
        signal = shell(depth, rim, fluid=700.0, skull=40.0, muscle=250.0, scalp=120.0)
        near = np.flatnonzero(depth < 4.0)
        brain, grey, white = (
            sample(volume, self.template.affine, points[near])
            for volume in (self.template.brain, self.template.grey_matter, self.template.white_matter)
        )
        fluid = np.clip(brain - grey - white, 0.0, 1.0)
        tissue = _T2STAR["grey"] * grey + _T2STAR["white"] * white + _T2STAR["fluid"] * fluid
        tissue *= _MEAN_SIGNAL / tissue[brain > 0.99].mean()
        signal[near] = tissue + (1.0 - brain) * signal[near]
        return signal.reshape(shape)


def simulate_t1w(
    head: Head, pose: Float[np.ndarray, "4 4"], voxel_size: float, rng: np.random.Generator
) -> nib.Nifti1Image:
    """Compute the T1-weighted image: tissue, receive field, Rician noise.

    Parameters
    ----------
    head : Head
        The participant.
    pose : array, shape (4, 4)
        From the participant's own space to the scanner.
    voxel_size : float
        Edge of a voxel in millimetres.
    rng : Generator
        Source of randomness.

    Returns
    -------
    Nifti1Image
        int16, about 900 in white matter.

    Raises
    ------
    ConfigError
        If the voxels are too large.
    """
    shape, affine = scanner_grid(_T1W_FIELD_OF_VIEW, voxel_size, "cohort.simulated.t1w_voxel_size")
    scanner_points = grid_points(shape, affine)
    points = head.anatomy.to_template(apply_affine(np.linalg.inv(pose), scanner_points).astype(np.float32))
    template = head.template
    depth, rim = (sample(volume, template.shell_affine, points) for volume in (template.depth, template.rim))
    signal = shell(depth, rim, fluid=0.22, skull=0.06, muscle=0.4, scalp=0.85)
    near = np.flatnonzero(depth < 4.0)
    brain = sample(template.brain, template.affine, points[near])
    # The brain of the template was scaled by its mask, so that its edge is already weighted.
    signal[near] = sample(template.t1w, template.affine, points[near]) + (1.0 - brain) * signal[near]
    white = template.t1w[template.white_matter > 0.9].mean()
    field = receive_field(scanner_points, _T1W_BIAS, rng)
    image = _rician(_T1W_WHITE / white * signal * field, _T1W_NOISE * _T1W_WHITE, rng)
    return _nifti(_to_int16(image.reshape(shape)), affine)


def simulate_bold(
    head: Head,
    networks: Networks,
    timecourses: Float[np.ndarray, "time network"],
    motion: Float[np.ndarray, "time 6"],
    pose: Float[np.ndarray, "4 4"],
    *,
    voxel_size: float,
    repetition_time: float,
    noise: float,
    rng: np.random.Generator,
) -> nib.Nifti1Image:
    r"""Compute the run.

    .. math:: S(x, t) = |\,b(x)\,h(x, t)\,B(y)\,(1 + \textstyle\sum_k a_k(y)\,c_k(t) / 100) + \epsilon\,|,
       \qquad y = P^{-1} M_t^{-1} x

    with the pose :math:`P`, the motion :math:`M_t` about the centre of the brain, the receive field :math:`b`, the
    spin history :math:`h` of every other slice, the baseline :math:`B`, maps :math:`a_k` (percent) and courses
    :math:`c_k` of networks and nuisances, and complex noise :math:`\epsilon`.

    Parameters
    ----------
    head : Head
        The participant.
    networks : Networks
        The participant's networks.
    timecourses : array, shape (time, network)
        Their courses, of unit variance.
    motion : array, shape (time, 6)
        Millimetres and radians; see `gradspec.cohort.simulate_motion`.
    pose : array, shape (4, 4)
        From the participant's own space to the scanner at the first volume.
    voxel_size : float
        Edge of a voxel in millimetres.
    repetition_time : float
        Time between volumes, in seconds.
    noise : float
        Standard deviation of the thermal noise, in percent of the mean signal.
    rng : Generator
        Source of randomness.

    Returns
    -------
    Nifti1Image
        int16, 1000 on average in the brain.

    Raises
    ------
    ConfigError
        If the voxels are too large.
    """
    shape, affine = scanner_grid(_BOLD_FIELD_OF_VIEW, voxel_size, "cohort.simulated.bold_voxel_size")
    field = receive_field(grid_points(shape, affine), _BOLD_BIAS, rng).reshape(shape)
    blur = voxel_size / np.sqrt(8.0 * np.log(2.0))  # a point spreads over a voxel
    baseline = ndimage.gaussian_filter(head.baseline, blur / _BASELINE_MM)
    maps, courses = _modulation(
        head, networks, timecourses, nuisance_timecourses(len(motion), repetition_time, rng), rng
    )
    history = _SPIN_HISTORY_PER_MM * np.minimum(framewise_displacement(motion), 1.0)

    _, baseline_affine = _box(_HEAD_BOX, _BASELINE_MM)
    modulation_shape, modulation_affine = _box(_BRAIN_BOX, _MODULATION_MM)
    run = np.empty((*shape, len(motion)), dtype=np.int16, order="F")
    for volume in track(range(len(motion)), "volumes"):
        to_head = np.linalg.inv(rigid(motion[volume, :3], motion[volume, 3:], head_centre(pose)) @ pose) @ affine
        signal = _resample(baseline, np.linalg.inv(baseline_affine) @ to_head, shape)
        percent = (courses[volume] @ maps).reshape(modulation_shape)
        signal *= 1.0 + 0.01 * _resample(percent, np.linalg.inv(modulation_affine) @ to_head, shape)
        signal *= field
        signal[:, :, 1::2] *= 1.0 - history[volume]
        run[..., volume] = _to_int16(_rician(signal, 0.01 * noise * _MEAN_SIGNAL, rng))
    return _nifti(run, affine, repetition_time)


def scanner_grid(
    field_of_view: Float[np.ndarray, "3"], voxel_size: float, key: str
) -> tuple[tuple[int, int, int], Float[np.ndarray, "4 4"]]:
    """Grid of cubic voxels that covers a field of view about the middle of the template's brain.

    Parameters
    ----------
    field_of_view : array, shape (3,)
        Extent in millimetres.
    voxel_size : float
        Edge of a voxel in millimetres.
    key : str
        Key of the configuration that gave it.

    Returns
    -------
    shape : tuple of int
        Number of voxels along each axis, even.
    affine : array, shape (4, 4)
        From voxels to millimetres, right, anterior and superior being positive.

    Raises
    ------
    ConfigError
        If the voxels are larger than 12 mm.
    """
    if not 0 < voxel_size <= _MAX_VOXEL_MM:
        raise ConfigError(f"{key} is {voxel_size:g} mm; choose at most {_MAX_VOXEL_MM:g} mm")
    shape = 2 * np.ceil(field_of_view / voxel_size / 2).astype(int)
    x, y, z = (int(n) for n in shape)
    return (x, y, z), grid_affine(np.round(BRAIN_CENTRE) - voxel_size * (shape - 1) / 2, voxel_size)


def receive_field(
    points: Float[np.ndarray, "point 3"], strength: float, rng: np.random.Generator
) -> Float[np.ndarray, "point"]:
    """Sensitivity of the coil at points of the scanner: a smooth surface within about 1 ± `strength`."""
    x, y, z = ((points - BRAIN_CENTRE) / 100.0).T
    terms = np.stack([x, y, z, x * y, y * z, x * z, x**2, y**2, z**2])
    surface = rng.normal(0.0, 1.0, len(terms)) @ terms
    return np.asarray(1.0 + strength * np.tanh(surface), dtype=np.float32)


def _modulation(
    head: Head,
    networks: Networks,
    timecourses: Float[np.ndarray, "time network"],
    nuisances: Mapping[str, Float[np.ndarray, "time"]],
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, "source point"], Float[np.ndarray, "time source"]]:
    """Maps (percent of the signal, on the grid of `_BRAIN_BOX`) and courses of all that changes the signal."""
    shape, affine = _box(_BRAIN_BOX, _MODULATION_MM)
    points = head.anatomy.to_template(grid_points(shape, affine))
    template = head.template
    sigma = 0.4 * _MODULATION_MM / _BASELINE_MM
    grey, white, brain = (
        sample(ndimage.gaussian_filter(volume, sigma), template.affine, points)
        for volume in (template.grey_matter, template.white_matter, template.brain)
    )
    amplitude = _NETWORK_PERCENT * rng.uniform(0.8, 1.2, networks.n_networks)
    nuisance_maps = {
        "pulsation": _PULSATION_PERCENT * np.clip(brain - grey - white, 0.0, 1.0),
        "respiration": _RESPIRATION_PERCENT * brain * (1.0 + 0.3 * _smooth_map(shape, rng)),
        "drift_linear": _DRIFT_PERCENT * brain * _smooth_map(shape, rng),
        "drift_curved": 0.5 * _DRIFT_PERCENT * brain * _smooth_map(shape, rng),
    }
    maps = [
        amplitude[:, np.newaxis] * network_maps(networks, points, grey),
        np.stack([nuisance_maps[name] for name in nuisances]),
    ]
    courses = [timecourses, np.stack(list(nuisances.values()), axis=1)]
    return np.concatenate(maps).astype(np.float32), np.concatenate(courses, axis=1).astype(np.float32)


def _smooth_map(shape: tuple[int, int, int], rng: np.random.Generator) -> Float[np.ndarray, "point"]:
    """Draw a map of unit variance that is smooth over centimetres, flattened."""
    field = ndimage.gaussian_filter(rng.standard_normal(shape).astype(np.float32), 24.0 / _MODULATION_MM)
    return np.asarray(field.ravel() / field.std())


def _box(corners: Float[np.ndarray, "2 3"], size: float) -> tuple[tuple[int, int, int], Float[np.ndarray, "4 4"]]:
    """Shape and affine of a grid between two corners, in the participant's own space."""
    x, y, z = (int(n) + 1 for n in np.round((corners[1] - corners[0]) / size))
    return (x, y, z), grid_affine(corners[0], size)


def _resample(
    volume: Float[np.ndarray, "x y z"], matrix: Float[np.ndarray, "4 4"], shape: tuple[int, int, int]
) -> Float[np.ndarray, "a b c"]:
    return np.asarray(
        ndimage.affine_transform(volume, matrix[:3, :3], matrix[:3, 3], output_shape=shape, order=1, output=np.float32)
    )


def _rician(
    signal: Float[np.ndarray, "*shape"], deviation: float, rng: np.random.Generator
) -> Float[np.ndarray, "*shape"]:
    """Magnitude of a complex signal with noise in both parts (Gudbjartsson & Patz 1995)."""
    real, imaginary = np.float32(deviation) * rng.standard_normal((2, *signal.shape), dtype=np.float32)
    return np.asarray(np.hypot(signal + real, imaginary))


def _to_int16(image: Float[np.ndarray, "*shape"]) -> Int16[np.ndarray, "*shape"]:
    return np.asarray(np.clip(np.rint(image), 0, np.iinfo(np.int16).max).astype(np.int16))


def _nifti(
    data: Int16[np.ndarray, "..."], affine: Float[np.ndarray, "4 4"], repetition_time: float | None = None
) -> nib.Nifti1Image:
    """Image in scanner coordinates with its units, and its repetition time if it is a run."""
    image = nib.Nifti1Image(data, affine)
    image.set_sform(affine, code="scanner")
    image.set_qform(affine, code="scanner")
    image.header.set_xyzt_units("mm", "sec" if repetition_time else None)
    if repetition_time:
        image.header.set_zooms((*image.header.get_zooms()[:3], repetition_time))
    return image
