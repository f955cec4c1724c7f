"""A BOLD run: head motion, slice timing, coregistration, one interpolation to the template, confounds, pictures."""

from collections.abc import Callable, Mapping
from typing import Any

from nipype.interfaces import utility
from nipype.pipeline.engine import Node, Workflow

from gradspec.preprocess.derivatives import Run
from gradspec.preprocess.interfaces import (
    ApplyMask,
    CoregisterBold,
    CorrectSliceTiming,
    EstimateMotion,
    GatherConfounds,
    MaskBold,
    ResampleBold,
)
from gradspec.preprocess.outputs import DrawCoregistration, DrawRegistration


def init_bold_wf(name: str, run: Run, settings: Mapping[str, Any], seed: int) -> Workflow:
    """Bring a BOLD run to the template.

    Parameters
    ----------
    name : str
        Name of the workflow, one for each run.
    run : Run
        The raw run.
    settings : mapping
        The section ``preprocess`` of the configuration.
    seed : int
        Seed of the samples of voxels.

    Inputs
    ------
    bold
        Raw run.
    t1w_brain
        Skull-stripped T1w image.
    points, normalization_overlap
        From the anatomical workflow.

    Outputs
    -------
    boldref, mask
        BOLD reference in native space, and its brain mask.
    motion, coregistration
        Transforms for resampling: raw volumes to the reference, reference to the T1w image (ITK text).
    bold_template, boldref_template, mask_template
        The run, its temporal mean and its brain mask in template space.
    confounds, confounds_sidecar, quality
        Confounds table with its description, and quality numbers (JSON).
    carpet, correlation, tsnr
        Carpet plot, correlation of the confounds, temporal signal-to-noise ratio.
    picture, rois, before_after
        The mean image with the outlines of the template, and of the masks of the confounds; the BOLD reference before
        and after coregistration.
    """
    workflow = Workflow(name=name)
    inputs = Node(
        utility.IdentityInterface(fields=["bold", "t1w_brain", "points", "normalization_overlap"]), name="inputnode"
    )
    outputs = Node(
        utility.IdentityInterface(
            fields=[
                "boldref",
                "mask",
                "motion",
                "coregistration",
                "bold_template",
                "boldref_template",
                "mask_template",
                "confounds",
                "confounds_sidecar",
                "quality",
                "carpet",
                "correlation",
                "tsnr",
                "picture",
                "rois",
                "before_after",
            ]
        ),
        name="outputnode",
    )
    grid, repetition_time, title = {"resolution": settings["resolution"]}, run.repetition_time, run.prefix
    realign = Node(EstimateMotion(method=settings["motion"], seed=seed), name="realign")
    if settings["dummy_scans"] is not None:
        realign.inputs.dummy_scans = settings["dummy_scans"]
    mask = Node(MaskBold(), name="mask")
    strip = Node(ApplyMask(), name="strip")
    coregister = Node(CoregisterBold(seed=seed), name="coregister")
    resample = Node(ResampleBold(repetition_time=repetition_time, **grid), name="resample")
    confounds = Node(GatherConfounds(repetition_time=repetition_time, title=title, **grid), name="confounds")
    draw = Node(DrawRegistration(title=title, **grid), name="draw")
    rois = Node(DrawRegistration(title=title, outlines="confounds", **grid), name="rois")
    compare = Node(DrawCoregistration(title=title), name="compare")
    connect: Callable[..., None] = workflow.connect
    connect(
        [
            (inputs, realign, [("bold", "in_file")]),
            (realign, mask, [("reference", "in_file")]),
            (realign, strip, [("reference", "in_file")]),
            (mask, strip, [("out_mask", "in_mask")]),
            (strip, coregister, [("out_file", "in_file")]),
            (inputs, coregister, [("t1w_brain", "t1w")]),
            (inputs, resample, [("points", "points")]),
            (mask, resample, [("out_mask", "in_mask")]),
            (realign, resample, [("transforms", "motion")]),
            (coregister, resample, [("transform", "coregistration")]),
            (resample, confounds, [("bold", "in_file"), ("mask", "in_mask")]),
            (realign, confounds, [("transforms", "motion"), ("reference", "boldref"), ("n_dummies", "n_dummies")]),
            (inputs, confounds, [("normalization_overlap", "normalization_overlap")]),
            (resample, draw, [("reference", "in_file"), ("mask", "in_mask")]),
            (realign, outputs, [("reference", "boldref"), ("transforms", "motion")]),
            (mask, outputs, [("out_mask", "mask")]),
            (coregister, outputs, [("transform", "coregistration")]),
            (
                resample,
                outputs,
                [("bold", "bold_template"), ("reference", "boldref_template"), ("mask", "mask_template")],
            ),
            (confounds, outputs, [("table", "confounds"), ("sidecar", "confounds_sidecar")]),
            (confounds, outputs, [(name, name) for name in ("quality", "carpet", "correlation", "tsnr")]),
            (draw, outputs, [("out_file", "picture")]),
            (resample, rois, [("reference", "in_file"), ("mask", "in_mask")]),
            (rois, outputs, [("out_file", "rois")]),
            (realign, compare, [("reference", "in_file")]),
            (inputs, compare, [("t1w_brain", "t1w")]),
            (coregister, compare, [("transform", "transform")]),
            (compare, outputs, [("out_file", "before_after")]),
        ]
    )
    if settings["slice_timing"]:
        correct = Node(
            CorrectSliceTiming(
                times=list(run.slice_timing or ()),
                direction=run.slice_encoding_direction,
                repetition_time=repetition_time,
            ),
            name="correct_slice_timing",
        )
        connect([(inputs, correct, [("bold", "in_file")]), (realign, correct, [("n_dummies", "n_dummies")])])
        connect([(correct, resample, [("out_file", "in_file")])])
    else:
        connect([(inputs, resample, [("bold", "in_file")])])
    return workflow
