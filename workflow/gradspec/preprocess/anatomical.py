"""The T1w image: brain extraction, bias field, normalisation to the template."""

import os
from collections.abc import Callable
from typing import Any

from nipype.interfaces import utility
from nipype.interfaces.ants import N4BiasFieldCorrection, Registration
from nipype.pipeline.engine import Node, Workflow

from gradspec.preprocess.interfaces import (
    ApplyMask,
    ConformT1w,
    ExtractBrain,
    MapTemplate,
    WriteTemplate,
)
from gradspec.preprocess.outputs import DrawNormalization, DrawRegistration

REGISTRATION_GRID = 2.0
"""Voxel edge, in mm, of the template that the T1w image is registered to."""

_SYN = {
    "fast": {"metric": "Mattes", "metric_option": 32, "shrink": [4, 2], "smoothing": [2.0, 1.0], "steps": [40, 20]},
    "precise": {
        "metric": "CC",
        "metric_option": 3,
        "shrink": [4, 2, 1],
        "smoothing": [2.0, 1.0, 0.0],
        "steps": [60, 40, 15],
    },
}


def init_anatomical_wf(normalization: str, resolution: float, seed: int, title: str) -> Workflow:
    """Bring a T1w image to the template.

    Parameters
    ----------
    normalization : {"fast", "precise"}
        SyN on mutual information at low resolution, or on cross-correlation.
    resolution : float
        Voxel edge of the output grid, in mm.
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
        Bias-corrected image in RAS order, its brain mask, and the image inside the mask.
    t1w_template, mask_template
        The same in template space.
    to_template, from_template
        Composite transforms (ITK HDF5) for resampling to and from template space.
    points
        Where the voxels of the template lie in the T1w image (``.npy``).
    overlap
        Dice coefficient of the mask with the template's.
    picture, before_after
        The normalised image with the outlines of the template, and the image before and after normalisation.
    """
    workflow = Workflow(name="anatomical")
    workflow.__desc__ = (
        "The T1w image was skull-stripped with deepbet, corrected for the bias field with N4 (ANTs), and normalised to "
        f"the ICBM 2009a symmetric template by affine and SyN registration (ANTs, setting '{normalization}')."
    )
    inputs = Node(utility.IdentityInterface(fields=["t1w"]), name="inputnode")
    outputs = Node(
        utility.IdentityInterface(
            fields=[
                "t1w",
                "mask",
                "brain",
                "t1w_template",
                "mask_template",
                "to_template",
                "from_template",
                "points",
                "overlap",
                "picture",
                "before_after",
            ]
        ),
        name="outputnode",
    )
    conform = Node(ConformT1w(), name="conform")
    extract = Node(ExtractBrain(), name="extract")
    correct = Node(_bias_correction(), name="correct_bias")
    strip = Node(ApplyMask(), name="strip")
    template = Node(WriteTemplate(resolution=REGISTRATION_GRID), name="template")
    register = Node(_registration(normalization, seed), name="register")
    to_template = Node(MapTemplate(resolution=resolution), name="to_template")
    draw = Node(DrawRegistration(resolution=resolution, title=title), name="draw")
    compare = Node(DrawNormalization(title=title), name="compare")
    connect: Callable[..., None] = workflow.connect
    connect(
        [
            (inputs, conform, [("t1w", "in_file")]),
            (conform, extract, [("out_file", "in_file")]),
            (conform, correct, [("out_file", "input_image")]),
            (extract, correct, [("out_mask", "mask_image")]),
            (correct, strip, [("output_image", "in_file")]),
            (extract, strip, [("out_mask", "in_mask")]),
            (template, register, [("out_file", "fixed_image")]),
            (strip, register, [("out_file", "moving_image")]),
            (register, to_template, [("composite_transform", "transform")]),
            (correct, to_template, [("output_image", "t1w")]),
            (extract, to_template, [("out_mask", "t1w_mask")]),
            (to_template, draw, [("t1w", "in_file"), ("mask", "in_mask")]),
            (correct, outputs, [("output_image", "t1w")]),
            (extract, outputs, [("out_mask", "mask")]),
            (strip, outputs, [("out_file", "brain")]),
            (register, outputs, [("composite_transform", "to_template")]),
            (register, outputs, [("inverse_composite_transform", "from_template")]),
            (to_template, outputs, [("t1w", "t1w_template"), ("mask", "mask_template")]),
            (to_template, outputs, [("points", "points"), ("overlap", "overlap")]),
            (draw, outputs, [("out_file", "picture")]),
            (strip, compare, [("out_file", "before")]),
            (to_template, compare, [("t1w", "after")]),
            (compare, outputs, [("out_file", "before_after")]),
        ]
    )
    return workflow


def _bias_correction() -> Any:
    """N4 at a quarter of the resolution (Tustison et al. 2010, IEEE Transactions on Medical Imaging 29, 1310)."""
    return N4BiasFieldCorrection(
        dimension=3,
        shrink_factor=4,
        n_iterations=[30, 30, 20],
        convergence_threshold=1e-4,
        bspline_fitting_distance=200.0,
        output_image="t1w_corrected.nii",
        num_threads=_threads(),
    )


def _registration(normalization: str, seed: int) -> Any:
    """Affine on mutual information, then SyN (Avants et al. 2008, Medical Image Analysis 12, 26)."""
    syn: dict[str, Any] = _SYN[normalization]
    return Registration(
        dimension=3,
        float=True,
        interpolation="Linear",
        initial_moving_transform_com=1,
        transforms=["Affine", "SyN"],
        transform_parameters=[(0.1,), (0.2, 3.0, 0.0)],
        metric=["Mattes", syn["metric"]],
        metric_weight=[1.0, 1.0],
        radius_or_number_of_bins=[32, syn["metric_option"]],
        sampling_strategy=["Regular", None],
        sampling_percentage=[0.25, None],
        number_of_iterations=[[50, 20], syn["steps"]],
        convergence_threshold=[1e-6, 1e-6],
        convergence_window_size=[10, 10],
        shrink_factors=[[6, 3], syn["shrink"]],
        smoothing_sigmas=[[3.0, 1.5], syn["smoothing"]],
        sigma_units=["vox", "vox"],
        use_histogram_matching=True,
        winsorize_lower_quantile=0.005,
        winsorize_upper_quantile=0.995,
        write_composite_transform=True,
        collapse_output_transforms=True,
        output_transform_prefix="normalization_",
        random_seed=seed % 2**31 or 1,  # 0 means the clock to ANTs
        num_threads=_threads(),
    )


def _threads() -> int:
    return int(os.environ.get("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "1"))
