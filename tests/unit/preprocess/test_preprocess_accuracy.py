"""How close the estimates come to a truth that is known: limits that must not be passed.

The head is that of the simulated cohort: networks, pulsation, drifts, a receive field that stays in the scanner while
the head moves, spin history, and Rician noise. All of them pull at the estimates.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nibabel.affines import apply_affine
from scipy import ndimage, optimize

from gradspec.cohort.runs import BoldRun
from gradspec.cohort.simulate_head import draw_anatomy, grid_points, load_template, sample
from gradspec.cohort.simulate_images import Head, simulate_bold, simulate_t1w
from gradspec.cohort.simulate_motion import draw_pose, head_centre, head_motion, move_pose, rigid
from gradspec.cohort.simulate_networks import place_networks
from gradspec.preprocess.ants import ants_on_path
from gradspec.preprocess.denoise import make_design
from gradspec.preprocess.denoised import denoise_participant
from gradspec.preprocess.geometry import rigid_matrix
from gradspec.preprocess.interfaces.ants import register_to_template
from gradspec.preprocess.masks import mask_bold
from gradspec.preprocess.motion import LeastSquaresAligner, flatten
from gradspec.preprocess.mutual_information import coregister, normalize_epi
from gradspec.preprocess.quality import dice
from gradspec.preprocess.realignment import realign_run
from gradspec.preprocess.resampling import resample_to_grid, template_to_t1w, transform_points
from gradspec.preprocess.template import load_template_epi, load_template_t1w


@dataclass
class Scan:
    """A simulated participant, and where everything lies."""

    head: Head
    bold: np.ndarray
    affine: np.ndarray
    poses: np.ndarray  # template to each volume
    brain: np.ndarray  # points of the template's brain
    t1w: Any  # inside its true mask
    pose_t1w: np.ndarray


@pytest.fixture(scope="module")
def scan() -> Scan:
    """A run of six volumes of 3 mm, and a T1w image of 2 mm."""
    template = load_template()
    head = Head(template, draw_anatomy(np.random.default_rng(1)))
    networks = place_networks(template, 8, np.random.default_rng(2))
    rng = np.random.default_rng(3)
    pose_t1w = draw_pose(head.anatomy.scale, rng)
    pose = move_pose(pose_t1w, rng)
    motion = head_motion(6, 1.0, rng)
    courses = rng.standard_normal((6, 8))
    image = simulate_bold(
        head, networks, courses, motion, pose, voxel_size=3.0, repetition_time=2.0, noise=1.0, rng=rng
    )
    t1w = simulate_t1w(head, pose_t1w, 2.0, rng)
    inside = true_map(head, template.brain, pose_t1w, t1w) > 0.5
    brain = apply_affine(template.affine, np.argwhere(template.brain > 0.5)[::300])
    centre = head_centre(pose)
    return Scan(
        head=head,
        bold=image.get_fdata(dtype=np.float32),
        affine=image.affine,
        poses=np.stack([rigid(row[:3], row[3:], centre) @ pose for row in motion]),
        brain=brain,
        t1w=nib.Nifti1Image(np.where(inside, t1w.get_fdata(dtype=np.float32), np.float32(0)), t1w.affine),
        pose_t1w=pose_t1w,
    )


def true_map(head: Head, volume: np.ndarray, pose: np.ndarray, image: Any) -> np.ndarray:
    """A map of the template where the participant's tissue lies in an image."""
    points = apply_affine(np.linalg.inv(pose), grid_points(image.shape[:3], image.affine)).astype(np.float32)
    return sample(volume, head.template.affine, head.anatomy.to_template(points)).reshape(image.shape[:3])


def rms(first: np.ndarray, second: np.ndarray, points: np.ndarray) -> float:
    """Root mean square distance, in mm, of points after two transforms."""
    apart = transform_points(first, points) - transform_points(second, points)
    return float(np.sqrt((apart**2).sum(axis=1).mean()))


@pytest.mark.parametrize(("method", "limit"), [("fast", 0.03), ("precise", 0.05)])
def test_head_motion_is_right_to_hundredths_of_a_millimetre(scan: Scan, method: str, limit: float) -> None:
    _, motion = realign_run(scan.bold, scan.affine, method, seed=1)
    middle = scan.poses[len(scan.poses) // 2]
    errors = [rms(found @ middle, pose, scan.brain) for found, pose in zip(motion, scan.poses, strict=True)]
    assert np.sqrt(np.mean(np.square(errors))) <= limit
    assert rms(scan.poses[0], scan.poses[-1], scan.brain) > 0.3, "the head moves"


def test_the_fast_estimate_is_that_of_a_plain_minimisation(scan: Scan) -> None:
    reference, volume = scan.bold[..., 3], scan.bold[..., 0]
    mask = ndimage.binary_erosion(ndimage.gaussian_filter(reference, 1) > 400, iterations=3)
    aligner = LeastSquaresAligner(reference, mask, scan.affine)
    found, _ = aligner.align(volume)
    fixed, moving = (flatten(image, np.full(3, 3.0), 0.8) for image in (reference, volume))
    voxels = np.argwhere(mask)
    values = ndimage.map_coordinates(fixed, voxels.T, order=3, mode="mirror", prefilter=False)

    def residual(parameters: np.ndarray) -> np.ndarray:
        to_voxel = np.linalg.inv(scan.affine) @ rigid_matrix(parameters, aligner.centre) @ scan.affine
        moved = ndimage.map_coordinates(
            moving, transform_points(to_voxel, voxels).T, output=float, order=3, mode="mirror", prefilter=False
        )
        return (moved @ values) / (moved @ moved) * moved - values

    scale = [1, 1, 1, 0.02, 0.02, 0.02]
    plain = optimize.least_squares(residual, np.zeros(6), x_scale=scale, diff_step=1e-3, xtol=1e-6).x
    at = transform_points(scan.poses[3], scan.brain)
    assert rms(found, rigid_matrix(plain, aligner.centre), at) < 0.02


def test_brightness_that_drifts_over_the_brain_is_not_taken_for_motion(scan: Scan) -> None:
    reference = scan.bold[..., 3]
    slope = 1 + 0.03 * np.linspace(-1, 1, reference.shape[0])[:, np.newaxis, np.newaxis]
    aligner = LeastSquaresAligner(reference, reference > 400, scan.affine)
    found, _ = aligner.align(reference * slope)
    assert rms(found, np.eye(4), transform_points(scan.poses[3], scan.brain)) < 0.05


def test_coregistration_is_right_to_a_fifth_of_a_voxel(scan: Scan) -> None:
    reference = scan.bold[..., 3]
    image = nib.Nifti1Image(reference, scan.affine)
    inside = true_map(scan.head, scan.head.template.brain, scan.poses[3], image) > 0.5
    found = coregister(reference * inside, scan.affine, scan.t1w.get_fdata(dtype=np.float32), scan.t1w.affine, seed=1)
    true = scan.pose_t1w @ np.linalg.inv(scan.poses[3])
    at = transform_points(scan.poses[3], scan.brain)
    assert rms(found, true, at) <= 0.6
    assert rms(np.eye(4), true, at) > 1.0, "they start apart"


@pytest.mark.parametrize("cut", [0, 70])
def test_a_run_without_t1w_lands_on_the_template_even_if_slices_are_missing(scan: Scan, cut: int) -> None:
    """The lower `cut` mm are not imaged: the cerebellum, and the lower third of the cerebrum."""
    slices = cut // 3
    affine = scan.affine @ nib.affines.from_matvec(np.eye(3), [0, 0, slices])
    reference, template = scan.bold[:, :, slices:, 3], load_template_epi(3.0)
    brain = reference * mask_bold(reference, affine)
    found = normalize_epi(brain, affine, template.get_fdata(dtype=np.float32), template.affine, seed=1)
    there = transform_points(np.linalg.inv(found), scan.brain)
    back = scan.head.anatomy.to_template(transform_points(np.linalg.inv(scan.poses[3]), there))
    imaged = apply_affine(np.linalg.inv(affine), there)[:, 2] > 0
    assert np.sqrt(((back - scan.brain)[imaged] ** 2).sum(axis=1).mean()) <= 1.0


@pytest.mark.parametrize(
    ("normalization", "least"),
    [pytest.param("fast", 0.91, marks=pytest.mark.slow), pytest.param("precise", 0.93, marks=pytest.mark.long)],
)
def test_grey_matter_lands_on_that_of_the_template(
    scan: Scan, tmp_path: Path, normalization: str, least: float
) -> None:
    overlap, before = normalize(scan, normalization, tmp_path)
    assert overlap >= least
    assert before < 0.75


def normalize(scan: Scan, normalization: str, folder: Path) -> tuple[float, float]:
    """Dice coefficient of the participant's grey matter with the template's, after and before normalisation."""
    template = load_template_t1w(2.0)
    nib.save(scan.t1w, folder / "t1w.nii")
    nib.save(template, folder / "template.nii")
    interface = register_to_template(normalization, seed=1)
    interface.inputs.fixed_image, interface.inputs.moving_image = str(folder / "template.nii"), str(folder / "t1w.nii")
    with ants_on_path(folder / "ants"):
        outputs = interface.run(cwd=folder).outputs
    grey = true_map(scan.head, scan.head.template.grey_matter, scan.pose_t1w, scan.t1w)
    everywhere = np.ones(template.shape, dtype=bool)
    points = template_to_t1w(Path(outputs.composite_transform), everywhere, template.affine)
    true = sample(
        scan.head.template.grey_matter,
        scan.head.template.affine,
        grid_points(template.shape, template.affine),
    )
    warped = sample(grey, scan.t1w.affine, points.astype(np.float32))
    still = resample_to_grid(grey, scan.t1w.affine, np.eye(4), template.shape, template.affine)
    return dice(warped > 0.5, true > 0.5), dice(still.ravel() > 0.5, true > 0.5)


@pytest.mark.parametrize("strategy", ["simple", "24P+aCompCor"])
@pytest.mark.parametrize("scrub", [False, True])
def test_confounds_explain_nothing_of_what_was_denoised(tmp_path: Path, strategy: str, scrub: bool) -> None:
    n_volumes, shape = 90, (8, 9, 7)
    inside = np.ones(shape, dtype=bool)
    inside[0] = False
    rng = np.random.default_rng(4)
    names = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
    table = pd.DataFrame(rng.standard_normal((n_volumes, 6)).cumsum(axis=0), columns=names)
    for name in names:
        table[f"{name}_derivative1"] = table[name].diff()
    for name in list(table):
        table[f"{name}_power2"] = table[name] ** 2
    for name in ("csf", "white_matter", *(f"a_comp_cor_{index:02d}" for index in range(5)), "cosine_00"):
        table[name] = rng.standard_normal(n_volumes)
    table["motion_outlier_0"] = (np.arange(n_volumes) == 40).astype(int)
    weights = rng.standard_normal((*shape, len(table.columns)))
    noise = weights @ table.fillna(0).to_numpy().T
    bold = 1000 + 10 * noise / noise.std() + rng.normal(0, 5, (*shape, n_volumes))
    table.to_csv(tmp_path / "confounds.tsv", sep="\t", index=False, na_rep="n/a")
    nib.save(nib.Nifti1Image(bold.astype(np.float32), np.diag([3, 3, 3, 1])), tmp_path / "sub-01_task-rest_bold.nii")
    nib.save(nib.Nifti1Image(inside.astype(np.uint8), np.diag([3, 3, 3, 1])), tmp_path / "mask.nii")
    run = BoldRun(
        "sub-01",
        tmp_path / "sub-01_task-rest_bold.nii",
        mask=tmp_path / "mask.nii",
        confounds=tmp_path / "confounds.tsv",
        repetition_time=2.0,
        n_volumes=n_volumes,
    )
    denoise = {"strategy": strategy, "linear_trend": True, "scrub": scrub, "high_pass": 0.008}
    settings = {"denoise": {**denoise, "min_degrees_of_freedom": 20}, "fwhm": 6.0, "intensity": "grand_mean"}
    (done,) = denoise_participant("sub-01", [run], tmp_path, settings)
    after = nib.load(done.bold).get_fdata()[inside].T
    design = make_design(table, denoise, n_volumes, 2.0).matrix
    before = bold[inside].T
    assert explained(before, design) > 0.5, "confounds make most of the noise"
    assert explained(after, design) <= 0.01


def explained(signals: np.ndarray, design: np.ndarray) -> float:
    """Share of the variance over time that a design explains."""
    centred = signals - signals.mean(axis=0)
    basis, values, _ = np.linalg.svd(design - design.mean(axis=0), full_matrices=False)
    basis = basis[:, values > 1e-8 * values.max()]
    return float(((basis.T @ centred) ** 2).sum() / (centred**2).sum())
