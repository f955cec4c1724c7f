"""The BOLD reference: to the T1w image, or to the template itself where there is no T1w image."""

from collections.abc import Mapping
from typing import Any

from nipype.pipeline.engine import Node, Workflow

from gradspec.preprocess.interfaces.anatomical import ApplyMask, MapTemplate, WriteTemplate
from gradspec.preprocess.interfaces.ants import correct_bias
from gradspec.preprocess.interfaces.functional import CoregisterBold, NormalizeBold
from gradspec.preprocess.interfaces.pictures import DrawCoregistration, DrawNormalization
from gradspec.preprocess.nodes import init_workflow

EPI_GRID = 3.0
"""Voxel edge, in mm, of the template that a BOLD reference is registered to."""
_BIAS_SHRINK_FACTOR = 2  # BOLD voxels are large already


def init_coregistration_wf(seed: int, title: str) -> Workflow:
    """Rigidly bring the BOLD reference to the T1w image.

    Parameters
    ----------
    seed : int
        Seed of the sample of voxels.
    title : str
        Title of the picture.

    Inputs
    ------
    boldref, mask
        BOLD reference and its brain mask.
    t1w_brain
        Skull-stripped T1w image.

    Outputs
    -------
    transform
        From the reference to the T1w image, for resampling (ITK text).
    before_after
        The reference before and after.
    """
    workflow, inputs, outputs = init_workflow(
        "coregistration", ["boldref", "mask", "t1w_brain"], ["transform", "before_after"]
    )
    strip = Node(ApplyMask(), name="strip")
    coregister = Node(CoregisterBold(seed=seed), name="coregister")
    compare = Node(DrawCoregistration(title=title), name="compare")
    workflow.connect(
        [
            (inputs, strip, [("boldref", "in_file"), ("mask", "in_mask")]),
            (strip, coregister, [("out_file", "in_file")]),
            (inputs, coregister, [("t1w_brain", "t1w")]),
            (inputs, compare, [("boldref", "in_file"), ("t1w_brain", "t1w")]),
            (coregister, compare, [("transform", "transform")]),
            (coregister, outputs, [("transform", "transform")]),
            (compare, outputs, [("out_file", "before_after")]),
        ]
    )
    return workflow


def init_epi_normalization_wf(settings: Mapping[str, Any], seed: int, title: str) -> Workflow:
    """Bring the BOLD reference to the template in the contrast of a BOLD reference, without a T1w image.

    By an affine transform, whatever ``normalization`` asks for: in this contrast SyN led away from where the T1w image
    takes the reference.

    Parameters
    ----------
    settings : mapping
        The section ``preprocess`` of the configuration.
    seed : int
        Seed of the sample of voxels.
    title : str
        Title of the picture.

    Inputs
    ------
    boldref, mask
        BOLD reference and its brain mask.

    Outputs
    -------
    to_template, from_template
        Transforms (ITK text) for resampling to and from template space.
    points
        Where the voxels of the template lie in the reference (``.npy``).
    before_after
        The reference before and after.
    """
    workflow, inputs, outputs = init_workflow(
        "epi_normalization", ["boldref", "mask"], ["to_template", "from_template", "points", "before_after"]
    )
    strip = Node(ApplyMask(), name="strip")
    template = Node(WriteTemplate(resolution=EPI_GRID, contrast="EPI"), name="template")
    register = Node(NormalizeBold(seed=seed), name="register")
    to_template = Node(MapTemplate(resolution=settings["resolution"]), name="to_template")
    compare = Node(DrawNormalization(title=title), name="compare")
    image = (inputs, "boldref")
    if settings["bias_field"]:
        correct = Node(correct_bias(_BIAS_SHRINK_FACTOR), name="correct_bias")
        workflow.connect([(inputs, correct, [("boldref", "input_image"), ("mask", "mask_image")])])
        image = (correct, "output_image")
    workflow.connect(
        [
            (image[0], strip, [(image[1], "in_file")]),
            (inputs, strip, [("mask", "in_mask")]),
            (template, register, [("out_file", "template")]),
            (strip, register, [("out_file", "in_file")]),
            (register, to_template, [("to_template", "transform")]),
            (image[0], to_template, [(image[1], "in_file")]),
            (inputs, to_template, [("mask", "in_mask")]),
            (strip, compare, [("out_file", "before")]),
            (to_template, compare, [("out_file", "after")]),
            (register, outputs, [(name, name) for name in ("to_template", "from_template")]),
            (to_template, outputs, [("points", "points")]),
            (compare, outputs, [("out_file", "before_after")]),
        ]
    )
    return workflow
