"""The T1w image: brain extraction, bias field, normalisation to the template, tissues."""

from collections.abc import Callable, Mapping
from typing import Any

from nipype.pipeline.engine import Node, Workflow

from gradspec.preprocess.interfaces.anatomical import (
    ApplyMask,
    ConformT1w,
    ExtractBrain,
    MapTemplate,
    MapTissues,
    WriteTemplate,
)
from gradspec.preprocess.interfaces.ants import correct_bias, register_to_template, segment_tissues
from gradspec.preprocess.interfaces.pictures import DrawNormalization, DrawRegistration
from gradspec.preprocess.nodes import init_workflow

REGISTRATION_GRID = 2.0
"""Voxel edge, in mm, of the template that the T1w image is registered to."""
_BIAS_SHRINK_FACTOR = 4


def init_anatomical_wf(settings: Mapping[str, Any], seed: int, title: str) -> Workflow:
    """Bring a T1w image to the template.

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
    t1w
        Raw T1w image.

    Outputs
    -------
    t1w, mask, brain
        The image in RAS order (bias-corrected, if asked for), its brain mask, and the image inside the mask.
    t1w_template, mask_template
        The same in template space.
    to_template, from_template
        Composite transforms (ITK HDF5) for resampling to and from template space.
    points
        Where the voxels of the template lie in the T1w image (``.npy``).
    overlap
        Dice coefficient of the mask with the template's.
    dseg, csf, white_matter
        With ``segmentation: atropos``: the tissues of the T1w image, and masks for confounds in template space.
    picture, before_after
        The normalised image with the outlines of the template, and the image before and after normalisation.
    """
    results = ["t1w", "mask", "brain", "t1w_template", "mask_template", "to_template", "from_template", "points"]
    results += ["overlap", "dseg", "csf", "white_matter", "picture", "before_after"]
    workflow, inputs, outputs = init_workflow("anatomical", ["t1w"], results)
    resolution = settings["resolution"]
    conform = Node(ConformT1w(), name="conform")
    extract = Node(ExtractBrain(), name="extract")
    strip = Node(ApplyMask(), name="strip")
    template = Node(WriteTemplate(resolution=REGISTRATION_GRID), name="template")
    register = Node(register_to_template(settings["normalization"], seed), name="register")
    to_template = Node(MapTemplate(resolution=resolution), name="to_template")
    draw = Node(DrawRegistration(resolution=resolution, title=title), name="draw")
    compare = Node(DrawNormalization(title=title), name="compare")
    image = (conform, "out_file")
    connect: Callable[..., None] = workflow.connect
    if settings["bias_field"]:
        correct = Node(correct_bias(_BIAS_SHRINK_FACTOR), name="correct_bias")
        connect([(conform, correct, [("out_file", "input_image")]), (extract, correct, [("out_mask", "mask_image")])])
        image = (correct, "output_image")
    connect(
        [
            (inputs, conform, [("t1w", "in_file")]),
            (conform, extract, [("out_file", "in_file")]),
            (image[0], strip, [(image[1], "in_file")]),
            (extract, strip, [("out_mask", "in_mask")]),
            (template, register, [("out_file", "fixed_image")]),
            (strip, register, [("out_file", "moving_image")]),
            (register, to_template, [("composite_transform", "transform")]),
            (image[0], to_template, [(image[1], "in_file")]),
            (extract, to_template, [("out_mask", "in_mask")]),
            (to_template, draw, [("out_file", "in_file"), ("out_mask", "in_mask")]),
            (strip, compare, [("out_file", "before")]),
            (to_template, compare, [("out_file", "after")]),
            (image[0], outputs, [(image[1], "t1w")]),
            (extract, outputs, [("out_mask", "mask")]),
            (strip, outputs, [("out_file", "brain")]),
            (register, outputs, [("composite_transform", "to_template")]),
            (register, outputs, [("inverse_composite_transform", "from_template")]),
            (to_template, outputs, [("out_file", "t1w_template"), ("out_mask", "mask_template")]),
            (to_template, outputs, [("points", "points"), ("overlap", "overlap")]),
            (draw, outputs, [("out_file", "picture")]),
            (compare, outputs, [("out_file", "before_after")]),
        ]
    )
    if settings["segmentation"] == "atropos":
        tissues = init_segmentation_wf(resolution)
        connect(
            [
                (strip, tissues, [("out_file", "inputnode.brain")]),
                (extract, tissues, [("out_mask", "inputnode.mask")]),
                (to_template, tissues, [("points", "inputnode.points")]),
                (tissues, outputs, [(f"outputnode.{name}", name) for name in ("dseg", "csf", "white_matter")]),
            ]
        )
    return workflow


def init_segmentation_wf(resolution: float) -> Workflow:
    """Find liquor, grey and white matter in a T1w image.

    Parameters
    ----------
    resolution : float
        Voxel edge of the output grid, in mm.

    Inputs
    ------
    brain, mask
        T1w image inside its brain mask, and the mask.
    points
        Where the voxels of the template lie in the T1w image.

    Outputs
    -------
    dseg
        Tissues of the T1w image (labels of `gradspec.preprocess.tissues.LABELS`).
    csf, white_matter
        Ventricles and deep white matter in template space.
    """
    workflow, inputs, outputs = init_workflow(
        "segmentation", ["brain", "mask", "points"], ["dseg", "csf", "white_matter"]
    )
    segment = Node(segment_tissues(), name="segment")
    to_template = Node(MapTissues(resolution=resolution), name="tissues_to_template")
    workflow.connect(
        [
            (inputs, segment, [("brain", "intensity_images"), ("mask", "mask_image")]),
            (inputs, to_template, [("brain", "t1w"), ("points", "points")]),
            (segment, to_template, [("classified_image", "in_file")]),
            (to_template, outputs, [("out_file", "dseg"), ("csf", "csf"), ("white_matter", "white_matter")]),
        ]
    )
    return workflow
