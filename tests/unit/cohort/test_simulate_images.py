"""Simulated images hold the anatomy, the networks and the motion that the truth says, and the data set is BIDS."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import xarray as xr
from scipy import ndimage

from gradspec.cohort.simulate import SimulatedParticipant, simulate_design, simulate_participant
from gradspec.cohort.simulate_head import (
    Anatomy,
    Template,
    draw_anatomy,
    grid_affine,
    grid_points,
    load_template,
    sample,
)
from gradspec.cohort.simulate_images import Head, scanner_grid, simulate_bold
from gradspec.cohort.simulate_motion import rigid
from gradspec.cohort.simulate_networks import network_maps, place_networks, vary_networks
from gradspec.errors import ConfigError

WORKFLOW = Path(__file__).resolve().parents[3] / "workflow"
SEED = 5
SIMULATED = {
    "n_participants": 2,
    "n_volumes": 20,
    "repetition_time": 2.5,
    "n_networks": 3,
    "bold_voxel_size": 6.0,
    "t1w_voxel_size": 4.0,
    "effect": 0.5,
    "max_displacement": 1.0,
    "noise": 0.5,
}
LEVELS = ["control", "patient"]

_RUN_SCRIPTS = """
import json, runpy, sys
from types import SimpleNamespace
for script, parts in json.loads(sys.argv[1]):
    parts = {name: SimpleNamespace(**part) if isinstance(part, dict) else part for name, part in parts.items()}
    runpy.run_path(script, init_globals={"snakemake": SimpleNamespace(threads=1, **parts)})
"""


def run_scripts(calls: list[tuple[str, dict]]) -> None:
    """Run scripts of the cohort stage with what Snakemake would hand to them, in a process of their own."""
    calls = [(str(WORKFLOW / "scripts" / "cohort" / script), parts) for script, parts in calls]
    done = subprocess.run(
        [sys.executable, "-c", _RUN_SCRIPTS, json.dumps(calls, default=str)], env={"PYTHONPATH": str(WORKFLOW)}
    )
    assert done.returncode == 0, [Path(parts["log"][0]).read_text() for _, parts in calls]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with ``bids`` and ``ground_truth`` of two participants, written by the workflow's own scripts."""
    folder = tmp_path_factory.mktemp("cohort")
    bids, truth = folder / "bids", folder / "ground_truth"
    params = {"simulated": SIMULATED, "group": {"column": "diagnosis", "levels": LEVELS}, "seed": SEED}
    calls = [
        (
            "simulate_design.py",
            {
                "log": [folder / "design.log"],
                "params": params,
                "output": {
                    "description": bids / "dataset_description.json",
                    "participants": bids / "participants.tsv",
                    "readme": bids / "README.md",
                    "components": truth / "components.nii.gz",
                    "design": truth / "design.nc",
                },
            },
        )
    ]
    for subject in ("sub-01", "sub-02"):
        stem = bids / subject
        calls.append(
            (
                "simulate_participant.py",
                {
                    "log": [folder / f"{subject}.log"],
                    "params": params,
                    "wildcards": {"subject": subject},
                    "input": {"design": truth / "design.nc"},
                    "output": {
                        "t1w": stem / "anat" / f"{subject}_T1w.nii.gz",
                        "t1w_sidecar": stem / "anat" / f"{subject}_T1w.json",
                        "bold": stem / "func" / f"{subject}_task-rest_bold.nii.gz",
                        "bold_sidecar": stem / "func" / f"{subject}_task-rest_bold.json",
                        "truth": truth / f"{subject}.nc",
                    },
                },
            )
        )
    run_scripts(calls)
    return folder


@pytest.fixture(scope="module")
def participant() -> SimulatedParticipant:
    """The second participant again, in this process and without the first."""
    design, _ = simulate_design(SIMULATED, LEVELS, SEED)
    return simulate_participant("sub-02", design, SIMULATED, SEED)


@pytest.fixture(scope="module")
def template() -> Template:
    return load_template()


@pytest.fixture(scope="module")
def head(template: Template) -> Head:
    return Head(template, draw_anatomy(np.random.default_rng(1)))


@pytest.fixture(scope="module")
def cortex(template: Template) -> tuple[np.ndarray, np.ndarray]:
    """Points every 4 mm of the template, and the share of grey matter there."""
    points = grid_points((38, 48, 42), grid_affine(np.array([-74.0, -110.0, -74.0]), 4.0))
    return points, sample(template.grey_matter, template.affine, points)


def tissue_of(
    image: nib.Nifti1Image, pose: np.ndarray, anatomy: Anatomy, template: Template
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Share of grey matter, white matter and fluid in every voxel of an image, from the truth."""
    points = nib.affines.apply_affine(np.linalg.inv(pose), grid_points(image.shape[:3], image.affine))
    points = anatomy.to_template(points.astype(np.float32))
    smooth = [ndimage.gaussian_filter(v, 1.0) for v in (template.grey_matter, template.white_matter, template.brain)]
    grey, white, brain = (sample(v, template.affine, points).reshape(image.shape[:3]) for v in smooth)
    return grey, white, brain - grey - white


def test_data_set_is_valid_bids(cohort: Path) -> None:
    validator = Path(sys.executable).with_name("bids-validator-deno")
    if not validator.exists():
        pytest.skip("bids-validator-deno is not installed")
    done = subprocess.run([validator, cohort / "bids", "--format", "json"], capture_output=True)
    issues = json.loads(done.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []
    assert {issue["code"] for issue in issues} <= {"SIDECAR_KEY_RECOMMENDED", "JSON_KEY_RECOMMENDED", "TOO_FEW_AUTHORS"}


def test_validator_would_have_complained(cohort: Path, tmp_path: Path) -> None:
    validator = Path(sys.executable).with_name("bids-validator-deno")
    if not validator.exists():
        pytest.skip("bids-validator-deno is not installed")
    broken = shutil.copytree(cohort / "bids", tmp_path / "bids")
    (broken / "sub-01/func/sub-01_task-rest_bold.json").write_text("{}")
    done = subprocess.run([validator, broken, "--format", "json"], capture_output=True)
    assert any(issue["severity"] == "error" for issue in json.loads(done.stdout)["issues"]["issues"])


def test_same_seed_gives_the_same_bytes_in_any_order(
    cohort: Path, participant: SimulatedParticipant, tmp_path: Path
) -> None:
    for image, written in (
        (participant.t1w, "anat/sub-02_T1w.nii.gz"),
        (participant.bold, "func/sub-02_task-rest_bold.nii.gz"),
    ):
        again = tmp_path / Path(written).name
        image.to_filename(again)
        assert again.read_bytes() == (cohort / "bids" / "sub-02" / written).read_bytes()
    with xr.open_dataset(cohort / "ground_truth" / "sub-02.nc", engine="h5netcdf") as truth:
        # BLAS for old processors rounds a product by where its arrays happen to lie in memory.
        xr.testing.assert_allclose(truth.load(), participant.truth, rtol=1e-12, atol=1e-12)


def test_participants_and_seeds_differ(cohort: Path, participant: SimulatedParticipant) -> None:
    with xr.open_dataset(cohort / "ground_truth" / "sub-01.nc", engine="h5netcdf") as other:
        for name in ("timecourses", "motion", "pose", "connectivity_drawn"):
            assert not np.allclose(other[name], participant.truth[name]), name
    design, _ = simulate_design(SIMULATED, LEVELS, SEED + 1)
    with xr.open_dataset(cohort / "ground_truth" / "design.nc", engine="h5netcdf") as original:
        assert not np.allclose(design["connectivity"], original["connectivity"])


def test_headers_are_sane(participant: SimulatedParticipant) -> None:
    for image, suffix_size in ((participant.t1w, 4.0), (participant.bold, 6.0)):
        header = image.header
        assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 1)
        np.testing.assert_allclose(image.get_qform(), image.get_sform())
        assert nib.aff2axcodes(image.affine) == ("R", "A", "S")
        assert header.get_zooms()[:3] == pytest.approx((suffix_size,) * 3)
        assert header.get_data_dtype() == np.int16
    assert participant.bold.shape[3] == SIMULATED["n_volumes"]
    assert participant.bold.header.get_zooms()[3] == SIMULATED["repetition_time"]
    assert participant.bold.header.get_xyzt_units() == ("mm", "sec")


def test_truth_follows_the_contract(participant: SimulatedParticipant) -> None:
    truth = participant.truth
    assert dict(truth.sizes) == {
        "time": 20,
        "component": 3,
        "component_2": 3,
        "parameter": 6,
        "row": 4,
        "column": 4,
        "axis": 3,
    }
    assert truth.attrs["group"] == "patient"
    assert truth["parameter"].to_numpy().tolist() == ["trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z"]
    np.testing.assert_allclose(truth["time"], 2.5 * np.arange(20))
    np.testing.assert_allclose(truth["connectivity"], np.corrcoef(truth["timecourses"].to_numpy().T))


def test_contrast_is_that_of_the_two_kinds_of_image(participant: SimulatedParticipant, template: Template) -> None:
    anatomy = draw_anatomy(np.random.default_rng([SEED, 2]).spawn(5)[0])
    expected_order = {"t1w": ("white", "grey", "fluid"), "bold": ("fluid", "grey", "white")}
    for name, pose in (("t1w", "pose_t1w"), ("bold", "pose")):
        image = getattr(participant, name)
        data = image.get_fdata()
        data = data if data.ndim == 3 else data.mean(axis=-1)
        grey, white, fluid = tissue_of(image, participant.truth[pose].to_numpy(), anatomy, template)
        mean = {
            "grey": data[grey > 0.75].mean(),
            "white": data[white > 0.85].mean(),
            "fluid": data[fluid > 0.6].mean(),
        }
        assert tuple(sorted(mean, key=mean.get, reverse=True)) == expected_order[name], (name, mean)
        air = data[:3, :3, -3:].mean()
        assert air < 0.05 * mean["grey"]
        if name == "bold":
            assert 850 < data[grey + white + fluid > 0.9].mean() < 1150


def test_brain_fits_the_field_of_view(participant: SimulatedParticipant, template: Template) -> None:
    anatomy = draw_anatomy(np.random.default_rng([SEED, 2]).spawn(5)[0])
    for image, pose in ((participant.t1w, "pose_t1w"), (participant.bold, "pose")):
        brain = sum(tissue_of(image, participant.truth[pose].to_numpy(), anatomy, template)) > 0.5
        assert brain.any()
        for axis in range(3):
            for face in (0, -1):
                assert not brain.take(face, axis=axis).any()


def test_motion_of_the_truth_undoes_the_motion_in_the_images(head: Head) -> None:
    networks = place_networks(head.template, 2, np.random.default_rng(0))
    motion = np.zeros((4, 6))
    motion[1] = [3.0, -2.0, 1.5, 0.03, -0.04, 0.05]
    motion[2] = [-3.0, 2.0, 2.5, -0.05, 0.02, 0.01]
    pose = rigid(np.array([4.0, -3.0, 2.0]), np.array([0.05, 0.02, -0.04]), np.zeros(3))
    run = simulate_bold(
        head,
        networks,
        np.zeros((4, 2)),
        motion,
        pose,
        voxel_size=4.0,
        repetition_time=2.0,
        noise=0.0,
        rng=np.random.default_rng(2),
    )
    data = run.get_fdata(dtype=np.float32)
    centre = pose[:3, :3] @ [0.0, -22.0, 9.5] + pose[:3, 3]
    inside = ndimage.binary_erosion(data[..., 0] > 600, iterations=2)
    for volume in (1, 2):
        to_moved = np.linalg.inv(run.affine) @ rigid(motion[volume, :3], motion[volume, 3:], centre) @ run.affine
        undone = ndimage.affine_transform(data[..., volume], to_moved[:3, :3], to_moved[:3, 3], order=3)
        wrong_way = np.linalg.inv(to_moved)
        doubled = ndimage.affine_transform(data[..., volume], wrong_way[:3, :3], wrong_way[:3, 3], order=3)
        reference = data[..., 0][inside]

        def error(moved: np.ndarray, reference: np.ndarray = reference) -> float:
            return float(np.std(moved[inside] - reference))

        assert error(undone) < 0.35 * error(data[..., volume])
        assert error(undone) < 0.35 * error(doubled)


def test_networks_show_their_time_courses_where_they_are(head: Head) -> None:
    networks = place_networks(head.template, 3, np.random.default_rng(0))
    courses = np.random.default_rng(1).standard_normal((30, 3))
    run = simulate_bold(
        head,
        networks,
        courses,
        np.zeros((30, 6)),
        np.eye(4),
        voxel_size=6.0,
        repetition_time=2.0,
        noise=0.2,
        rng=np.random.default_rng(2),
    )
    points = head.anatomy.to_template(grid_points(run.shape[:3], run.affine))
    maps = network_maps(networks, points, sample(head.template.grey_matter, head.template.affine, points))
    data = run.get_fdata(dtype=np.float32).reshape(-1, 30)
    time = np.linspace(-1.0, 1.0, 30)
    design = np.column_stack(
        [courses, np.ones(30), time, np.cos(np.pi * time)]
    )  # networks, and the drift of the scanner
    for number, network in enumerate(maps):
        core = data[network > 0.4]
        change = 100 * (core / core.mean(axis=1, keepdims=True) - 1).mean(axis=0)
        amplitude = np.linalg.lstsq(design, change)[0][:3]  # percent of the signal
        assert 0.4 < amplitude[number] < 2.0
        assert np.abs(np.delete(amplitude, number)).max() < 0.25 * amplitude[number]


@pytest.mark.parametrize("n_networks", [2, 8, 20])
def test_networks_lie_in_grey_matter_apart_and_in_both_hemispheres(
    template: Template, cortex: tuple[np.ndarray, np.ndarray], n_networks: int
) -> None:
    networks = place_networks(template, n_networks, np.random.default_rng(3))
    points, grey = cortex
    maps = network_maps(networks, points, grey)
    assert maps.shape == (n_networks, len(points))
    assert (maps.max(axis=1) > 0.55).all() and maps.max() <= 1.0 and maps.min() >= 0.0
    assert (maps <= grey + 1e-6).all()
    assert ((maps @ grey) / maps.sum(axis=1) > grey[grey > 0.01].mean()).all()
    overlap = np.corrcoef(maps) - np.eye(n_networks)
    assert overlap.max() < 0.1
    left, right = maps[:, points[:, 0] < 0].sum(axis=1), maps[:, points[:, 0] > 0].sum(axis=1)
    np.testing.assert_allclose(left, right, rtol=0.1)


def test_networks_of_people_are_alike_but_not_the_same(
    template: Template, cortex: tuple[np.ndarray, np.ndarray]
) -> None:
    networks = place_networks(template, 4, np.random.default_rng(3))
    points, grey = cortex
    group, own = (network_maps(n, points, grey) for n in (networks, vary_networks(networks, np.random.default_rng(4))))
    for expected, found in zip(group, own, strict=True):
        assert 0.7 < np.corrcoef(expected, found)[0, 1] < 0.999


def test_components_are_maps_in_template_space(cohort: Path) -> None:
    from nilearn.datasets import load_mni152_brain_mask

    image = nib.load(cohort / "ground_truth" / "components.nii.gz")
    mask = load_mni152_brain_mask(resolution=3)
    assert image.shape == (*mask.shape, 3)
    np.testing.assert_allclose(image.affine, mask.affine)
    assert int(image.header["sform_code"]) == 4
    data = image.get_fdata()
    inside = np.asarray(mask.dataobj) > 0
    assert (data[~inside] == 0).all() and data.min() >= 0
    np.testing.assert_allclose(data[inside].std(axis=0), 1.0, rtol=2e-3)


def test_head_is_the_template_in_its_place(template: Template) -> None:
    from nilearn import datasets

    image = datasets.load_mni152_gm_template(resolution=1)
    points = grid_points((20, 20, 20), grid_affine(np.array([-60.0, -90.0, -50.0]), 6.0))
    smooth = ndimage.gaussian_filter(image.get_fdata(dtype=np.float32), 1.0)
    np.testing.assert_allclose(
        sample(template.grey_matter, template.affine, points), sample(smooth, image.affine, points), atol=0.25
    )
    brain = sample(template.brain, template.affine, points) > 0.5
    assert (sample(template.depth, template.shell_affine, points)[brain] < 5.0).all()
    assert (sample(template.rim, template.shell_affine, points)[brain] > 4.0).all()


def test_anatomy_differs_by_millimetres(head: Head) -> None:
    points = grid_points((10, 10, 10), grid_affine(np.full(3, -60.0), 12.0))
    distance = np.linalg.norm(head.anatomy.to_template(points) - points, axis=1)
    assert 0.2 < distance.max() <= 2.5
    assert (np.abs(head.anatomy.scale - 1) <= 0.04).all()


def test_voxels_too_large_for_a_head_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"cohort\.simulated\.bold_voxel_size is 40 mm; choose at most 12 mm"):
        scanner_grid(np.array([200.0, 200.0, 200.0]), 40.0, "cohort.simulated.bold_voxel_size")
