"""A BOLD run: head motion, slice timing, registration, one interpolation to the template, confounds, pictures."""

from collections.abc import Callable, Mapping
from typing import Any

from nipype.pipeline.engine import Node, Workflow

from gradspec.cohort.runs import BoldRun
from gradspec.preprocess.interfaces.confounds import GatherConfounds
from gradspec.preprocess.interfaces.functional import CorrectSliceTiming, EstimateMotion, MaskBold, ResampleBold
from gradspec.preprocess.interfaces.pictures import DrawRegistration
from gradspec.preprocess.nodes import init_workflow
from gradspec.preprocess.registration import init_coregistration_wf, init_epi_normalization_wf
from gradspec.preprocess.steps import confound_groups

ANATOMICAL = ("t1w_brain", "points", "normalization_overlap", "csf", "white_matter")
"""What a run takes from the T1w image."""
_CHARTS = ("carpet", "correlation", "tsnr")


def init_bold_wf(name: str, run: BoldRun, settings: Mapping[str, Any], seed: int, has_t1w: bool = True) -> Workflow:
    """Bring a BOLD run to the template.

    Parameters
    ----------
    name : str
        Name of the workflow, one for each run.
    run : BoldRun
        The raw run.
    settings : mapping
        The section ``preprocess`` of the configuration.
    seed : int
        Seed of the samples of voxels.
    has_t1w : bool
        Whether the run follows the T1w image to the template, or goes there by itself.

    Inputs
    ------
    bold
        Raw run.
    t1w_brain, points, normalization_overlap, csf, white_matter
        From the anatomical workflow, the masks only with ``segmentation: atropos``.

    Outputs
    -------
    boldref, mask
        BOLD reference in native space, and its brain mask.
    motion
        Transforms for resampling from the raw volumes to the reference (ITK text).
    coregistration
        With a T1w image: transform from the reference to it (ITK text).
    to_template, from_template
        Without: transforms from the reference to the template and back (ITK text).
    bold_template, boldref_template, mask_template
        The run, its temporal mean and its brain mask in template space.
    confounds, confounds_sidecar, quality
        Confounds table with its description, and quality numbers (JSON).
    carpet, correlation, tsnr
        Carpet plot, correlation of the confounds, temporal signal-to-noise ratio.
    picture, rois, before_after
        The mean image with the outlines of the template, and of the masks of the confounds; the BOLD reference before
        and after coregistration (or normalisation).
    """
    results = ["boldref", "mask", "motion", "coregistration", "to_template", "from_template", "bold_template"]
    results += ["boldref_template", "mask_template", "confounds", "confounds_sidecar", "quality", *_CHARTS]
    results += ["picture", "rois", "before_after"]
    workflow, inputs, outputs = init_workflow(name, ["bold", *ANATOMICAL], results)
    reference = init_reference_wf(settings, seed)
    resample = Node(
        ResampleBold(resolution=settings["resolution"], repetition_time=run.repetition_time), name="resample"
    )
    confounds = init_confounds_wf(run, settings)
    connect: Callable[..., None] = workflow.connect
    connect(
        [
            (inputs, reference, [("bold", "inputnode.bold")]),
            (reference, resample, [("outputnode.mask", "in_mask"), ("outputnode.motion", "motion")]),
            (reference, confounds, [(f"outputnode.{name}", f"inputnode.{name}") for name in _OF_REFERENCE]),
            (inputs, confounds, [(name, f"inputnode.{name}") for name in ANATOMICAL[2:]]),
            (resample, confounds, [("bold", "inputnode.bold"), ("mask", "inputnode.mask")]),
            (resample, confounds, [("reference", "inputnode.mean")]),
            (reference, outputs, [(f"outputnode.{name}", name) for name in ("boldref", "mask", "motion")]),
            (resample, outputs, [("bold", "bold_template"), ("mask", "mask_template")]),
            (resample, outputs, [("reference", "boldref_template")]),
            (confounds, outputs, [(f"outputnode.{name}", name) for name in _OF_CONFOUNDS]),
        ]
    )
    if has_t1w:
        register = init_coregistration_wf(seed, run.name)
        connect(
            [(inputs, register, [("t1w_brain", "inputnode.t1w_brain")]), (inputs, resample, [("points", "points")])]
        )
        connect([(register, resample, [("outputnode.transform", "coregistration")])])
        connect([(register, outputs, [("outputnode.transform", "coregistration")])])
    else:
        register = init_epi_normalization_wf(settings, seed, run.name)
        connect([(register, resample, [("outputnode.points", "points")])])
        connect([(register, outputs, [(f"outputnode.{name}", name) for name in ("to_template", "from_template")])])
    connect(
        [
            (reference, register, [(f"outputnode.{name}", f"inputnode.{name}") for name in ("boldref", "mask")]),
            (register, outputs, [("outputnode.before_after", "before_after")]),
        ]
    )
    if settings["slice_timing"]:
        correct = Node(_slice_timing(run), name="correct_slice_timing")
        connect(
            [(inputs, correct, [("bold", "in_file")]), (reference, correct, [("outputnode.n_dummies", "n_dummies")])]
        )
        connect([(correct, resample, [("out_file", "in_file")])])
    else:
        connect([(inputs, resample, [("bold", "in_file")])])
    return workflow


_OF_REFERENCE = ("boldref", "motion", "n_dummies")
_OF_CONFOUNDS = ("confounds", "confounds_sidecar", "quality", *_CHARTS, "picture", "rois")


def init_reference_wf(settings: Mapping[str, Any], seed: int) -> Workflow:
    """Count the dummy scans, make the BOLD reference with its brain mask, and estimate head motion.

    Parameters
    ----------
    settings : mapping
        The section ``preprocess`` of the configuration.
    seed : int
        Seed of the sample of voxels.

    Inputs
    ------
    bold
        Raw run.

    Outputs
    -------
    boldref, mask
        BOLD reference and its brain mask.
    motion
        Transforms from the raw volumes to the reference; all the same where motion is not estimated.
    n_dummies
        Number of dummy scans.
    """
    workflow, inputs, outputs = init_workflow("reference", ["bold"], ["boldref", "mask", "motion", "n_dummies"])
    realign = Node(EstimateMotion(method=settings["motion"], seed=seed), name="realign")
    if settings["dummy_scans"] is not None:
        realign.inputs.dummy_scans = settings["dummy_scans"]
    mask = Node(MaskBold(), name="mask_bold")
    workflow.connect(
        [
            (inputs, realign, [("bold", "in_file")]),
            (realign, mask, [("reference", "in_file")]),
            (realign, outputs, [("reference", "boldref"), ("transforms", "motion"), ("n_dummies", "n_dummies")]),
            (mask, outputs, [("out_mask", "mask")]),
        ]
    )
    return workflow


def init_confounds_wf(run: BoldRun, settings: Mapping[str, Any]) -> Workflow:
    """Make confounds, quality numbers and pictures of a run in template space.

    Parameters
    ----------
    run : BoldRun
        The raw run.
    settings : mapping
        The section ``preprocess`` of the configuration.

    Inputs
    ------
    bold, mask, mean
        The run in template space, its brain mask and its temporal mean.
    boldref, motion, n_dummies
        From the reference workflow.
    normalization_overlap, csf, white_matter
        From the anatomical workflow, where it has them.

    Outputs
    -------
    confounds, confounds_sidecar, quality, carpet, correlation, tsnr, picture, rois
        As those of `init_bold_wf`.
    """
    fields = ["bold", "mask", "mean", *_OF_REFERENCE, *ANATOMICAL[2:]]
    workflow, inputs, outputs = init_workflow("confounds", fields, _OF_CONFOUNDS)
    grid, title = {"resolution": settings["resolution"]}, run.name
    gather = Node(
        GatherConfounds(repetition_time=run.repetition_time, title=title, groups=confound_groups(settings), **grid),
        name="gather",
    )
    draw = Node(DrawRegistration(title=title, **grid), name="draw")
    rois = Node(DrawRegistration(title=title, outlines="confounds", **grid), name="rois")
    workflow.connect(
        [
            (inputs, gather, [("bold", "in_file"), ("mask", "in_mask")]),
            (inputs, gather, [(name, name) for name in (*_OF_REFERENCE, *ANATOMICAL[2:])]),
            (inputs, draw, [("mean", "in_file"), ("mask", "in_mask")]),
            (
                inputs,
                rois,
                [("mean", "in_file"), ("mask", "in_mask"), ("csf", "csf"), ("white_matter", "white_matter")],
            ),
            (gather, outputs, [("table", "confounds"), ("sidecar", "confounds_sidecar"), ("quality", "quality")]),
            (gather, outputs, [(name, name) for name in _CHARTS]),
            (draw, outputs, [("out_file", "picture")]),
            (rois, outputs, [("out_file", "rois")]),
        ]
    )
    return workflow


def _slice_timing(run: BoldRun) -> CorrectSliceTiming:
    return CorrectSliceTiming(
        times=list(run.slice_timing or ()),
        direction=run.slice_encoding_direction or "k",
        repetition_time=run.repetition_time,
    )
