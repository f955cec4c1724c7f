"""The simulated cohort put together: its design, and one participant of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
from jaxtyping import Float
from scipy import ndimage

from gradspec.cohort.simulate_courses import group_connectivity, individual_connectivity, network_timecourses
from gradspec.cohort.simulate_design import participant_groups, simulated_participants
from gradspec.cohort.simulate_head import Template, draw_anatomy, grid_points, load_template, sample
from gradspec.cohort.simulate_images import Head, simulate_bold, simulate_t1w
from gradspec.cohort.simulate_motion import MOTION_PARAMETERS, draw_pose, head_centre, head_motion, move_pose
from gradspec.cohort.simulate_networks import Networks, network_maps, place_networks, vary_networks

if TYPE_CHECKING:
    import xarray as xr

_COMPONENTS_MM = 3


@dataclass(frozen=True)
class SimulatedParticipant:
    """Images of a participant, and the truth about them.

    Attributes
    ----------
    t1w, bold : Nifti1Image
        The images.
    truth : Dataset
        Time courses, motion, poses and connectivity.
    """

    t1w: nib.Nifti1Image
    bold: nib.Nifti1Image
    truth: "xr.Dataset"


def simulate_design(
    simulated: Mapping[str, Any], levels: Sequence[str], seed: int
) -> tuple["xr.Dataset", nib.Nifti1Image]:
    """Draw what the participants have in common: where the networks lie and how they are connected in each group.

    Parameters
    ----------
    simulated : mapping
        Section ``cohort.simulated`` of the configuration.
    levels : sequence of str
        Names of the groups, the reference first.
    seed : int
        Seed of the workflow.

    Returns
    -------
    design : Dataset
        ``connectivity`` (group, component, component_2); ``centre`` (region, axis), ``width`` and ``network`` (region)
        of the networks' regions; ``participant_group`` (participant).
    components : Nifti1Image
        Maps of the networks in template space, in units of their standard deviation over the brain.
    """
    import xarray as xr

    template = load_template()
    place, connect = np.random.default_rng([seed, 0]).spawn(2)
    networks = place_networks(template, simulated["n_networks"], place)
    names = [f"network-{number:02d}" for number in range(1, networks.n_networks + 1)]
    n_participants = simulated["n_participants"]
    design = xr.Dataset(
        {
            "connectivity": (
                ("group", "component", "component_2"),
                group_connectivity(networks.n_networks, simulated["effect"], connect),
                {"long_name": "population correlation of the time courses"},
            ),
            "centre": (("region", "axis"), networks.centre, {"units": "mm", "long_name": "centre in template space"}),
            "width": ("region", networks.width, {"units": "mm", "long_name": "standard deviation of the profile"}),
            "network": ("region", networks.network, {"long_name": "index of the component that the region belongs to"}),
            "participant_group": ("participant", [levels[group] for group in participant_groups(n_participants)]),
        },
        coords={
            "group": list(levels),
            "component": names,
            "component_2": names,
            "axis": ["x", "y", "z"],
            "participant": simulated_participants(n_participants),
        },
        attrs={"space": "MNI152NLin2009aSym", "effect": float(simulated["effect"]), "seed": seed},
    )
    return design, _component_image(networks, template)


def simulate_participant(
    participant: str, design: "xr.Dataset", simulated: Mapping[str, Any], seed: int
) -> SimulatedParticipant:
    """Draw one participant and compute both images.

    Parameters
    ----------
    participant : str
        Id that the design knows.
    design : Dataset
        From `simulate_design`.
    simulated : mapping
        Section ``cohort.simulated`` of the configuration.
    seed : int
        Seed of the workflow; with the participant's number it decides every random number.

    Returns
    -------
    SimulatedParticipant
        The images and the truth. Dataset ``truth``: ``timecourses`` (time, component), ``motion`` (time, parameter) in
        millimetres and radians, ``pose`` and ``pose_t1w`` (4 × 4, template to scanner without the warp), ``centre``
        (axis) that motion turns about, ``connectivity`` of the sample, ``connectivity_drawn`` of the participant.
    """
    number = design.indexes["participant"].get_loc(participant) + 1
    group = str(design["participant_group"].sel(participant=participant).item())
    body, mind, movement, t1w_rng, bold_rng = np.random.default_rng([seed, number]).spawn(5)

    head = Head(load_template(), draw_anatomy(body))
    pose_t1w = draw_pose(head.anatomy.scale, body)
    pose = move_pose(pose_t1w, body)
    networks = vary_networks(_networks_of(design), mind)
    drawn = individual_connectivity(design["connectivity"].sel(group=group).to_numpy(), mind)
    repetition_time = float(simulated["repetition_time"])
    timecourses = network_timecourses(drawn, simulated["n_volumes"], repetition_time, mind)
    motion = head_motion(simulated["n_volumes"], simulated["max_displacement"], movement)

    t1w = simulate_t1w(head, pose_t1w, simulated["t1w_voxel_size"], t1w_rng)
    bold = simulate_bold(
        head,
        networks,
        timecourses,
        motion,
        pose,
        voxel_size=simulated["bold_voxel_size"],
        repetition_time=repetition_time,
        noise=simulated["noise"],
        rng=bold_rng,
    )
    truth = _truth(design, timecourses, motion, drawn, repetition_time).assign(
        pose=(("row", "column"), pose, {"long_name": "template to scanner, in mm, at the first volume"}),
        pose_t1w=(("row", "column"), pose_t1w, {"long_name": "template to scanner, in mm, in the T1w image"}),
        centre=("axis", head_centre(pose), {"units": "mm", "long_name": "centre of rotation in the scanner"}),
    )
    warp_mm = float(np.linalg.norm(head.anatomy.warp, axis=0).max())
    return SimulatedParticipant(
        t1w, bold, truth.assign_attrs(participant_id=participant, group=group, seed=seed, max_warp_mm=warp_mm)
    )


def _component_image(networks: Networks, template: Template) -> nib.Nifti1Image:
    """Maps of the networks on the template's grid of 3 mm."""
    from nilearn.datasets import load_mni152_brain_mask

    mask = load_mni152_brain_mask(resolution=_COMPONENTS_MM)
    points = grid_points(mask.shape, mask.affine)
    grey = sample(ndimage.gaussian_filter(template.grey_matter, 1.0), template.affine, points)
    brain = np.asarray(mask.dataobj).ravel() > 0
    maps = network_maps(networks, points, grey) * brain
    maps /= maps[:, brain].std(axis=1, keepdims=True)
    image = nib.Nifti1Image(np.moveaxis(maps.reshape(-1, *mask.shape), 0, -1), mask.affine)
    image.set_sform(mask.affine, code="mni")
    image.set_qform(mask.affine, code="mni")
    image.header.set_xyzt_units("mm")
    return image


def _truth(
    design: "xr.Dataset",
    timecourses: Float[np.ndarray, "time network"],
    motion: Float[np.ndarray, "time 6"],
    drawn: Float[np.ndarray, "network network"],
    repetition_time: float,
) -> "xr.Dataset":
    import xarray as xr

    components = design["component"].to_numpy()
    pair = ("component", "component_2")
    return xr.Dataset(
        {
            "timecourses": (("time", "component"), timecourses, {"long_name": "course of the network as mixed in"}),
            "motion": (
                ("time", "parameter"),
                motion,
                {
                    "units": "mm (trans), rad (rot)",
                    "long_name": "x -> c + Rx Ry Rz (x - c) + t against the first volume",
                },
            ),
            "connectivity": (pair, np.corrcoef(timecourses.T), {"long_name": "correlation of these time courses"}),
            "connectivity_drawn": (pair, drawn, {"long_name": "correlation that they were drawn from"}),
        },
        coords={
            "time": ("time", np.arange(len(motion)) * repetition_time, {"units": "s"}),
            "component": components,
            "component_2": components,
            "parameter": list(MOTION_PARAMETERS),
            "axis": ["x", "y", "z"],
        },
    )


def _networks_of(design: "xr.Dataset") -> Networks:
    return Networks(*(design[name].to_numpy() for name in ("centre", "width", "network")))
