"""A BOLD run: head motion, coregistration, one interpolation to the template, confounds, pictures."""

from collections.abc import Callable

from nipype.interfaces import utility
from nipype.pipeline.engine import Node, Workflow

from gradspec.preprocess.interfaces import (
    ApplyMask,
    CoregisterBold,
    EstimateMotion,
    GatherConfounds,
    MaskBold,
    ResampleBold,
)
from gradspec.preprocess.outputs import DrawRegistration


def init_bold_wf(name: str, motion: str, resolution: float, repetition_time: float, seed: int, title: str) -> Workflow:
    """Bring a BOLD run to the template.

    Parameters
    ----------
    name : str
        Name of the workflow, one for each run.
    motion : {"precise", "fast"}
        Estimator of head motion.
    resolution : float
        Voxel edge of the output grid, in mm.
    repetition_time : float
        In seconds.
    seed : int
        Seed of the samples of voxels.
    title : str
        Title of the pictures.

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
    carpet, picture
        Carpet plot, and the mean image with the outlines of the template.
    """
    workflow = Workflow(name=name)
    estimator = "mutual information (SimpleITK)" if motion == "precise" else "least squares (Gauss-Newton)"
    workflow.__desc__ = (
        f"Head motion was estimated by rigid registration on {estimator}; the BOLD reference was registered to the T1w "
        "image by a rigid transform on mutual information (SimpleITK), and the run was brought to template space at "
        f"{resolution:g} mm by one cubic-spline interpolation of the composed transforms."
    )
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
                "picture",
            ]
        ),
        name="outputnode",
    )
    grid = {"resolution": resolution}
    realign = Node(EstimateMotion(method=motion, seed=seed), name="realign")
    mask = Node(MaskBold(), name="mask")
    strip = Node(ApplyMask(), name="strip")
    coregister = Node(CoregisterBold(seed=seed), name="coregister")
    resample = Node(ResampleBold(repetition_time=repetition_time, **grid), name="resample")
    confounds = Node(GatherConfounds(repetition_time=repetition_time, title=title, **grid), name="confounds")
    draw = Node(DrawRegistration(title=title, **grid), name="draw")
    connect: Callable[..., None] = workflow.connect
    connect(
        [
            (inputs, realign, [("bold", "in_file")]),
            (realign, mask, [("reference", "in_file")]),
            (realign, strip, [("reference", "in_file")]),
            (mask, strip, [("out_mask", "in_mask")]),
            (strip, coregister, [("out_file", "in_file")]),
            (inputs, coregister, [("t1w_brain", "t1w")]),
            (inputs, resample, [("bold", "in_file"), ("points", "points")]),
            (mask, resample, [("out_mask", "in_mask")]),
            (realign, resample, [("transforms", "motion")]),
            (coregister, resample, [("transform", "coregistration")]),
            (resample, confounds, [("bold", "in_file"), ("mask", "in_mask")]),
            (realign, confounds, [("transforms", "motion"), ("reference", "boldref")]),
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
            (confounds, outputs, [("quality", "quality"), ("carpet", "carpet")]),
            (draw, outputs, [("out_file", "picture")]),
        ]
    )
    return workflow
