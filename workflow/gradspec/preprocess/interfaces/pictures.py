"""Pictures of registrations."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nipype.interfaces.base import BaseInterfaceInputSpec, File, isdefined, traits

from gradspec.preprocess.interfaces.base import OneFile, Step
from gradspec.preprocess.template import Template

_COREGISTRATION_GRID = 2.0  # mm, of the picture


def _template_outlines(template: Template) -> list[tuple[str, str, Any]]:
    return [("template brain", "#ef476f", template.brain), ("template grey matter", "#06d6a0", template.gray_matter)]


def _as_contours(outlines: list[tuple[str, str, Any]]) -> list[tuple[str, str, np.ndarray]]:
    """Labels, colours and voxels of images."""
    return [(label, colour, image.get_fdata(dtype=np.float32)) for label, colour, image in outlines]


def _given(path: Any, default: Any) -> Any:
    """Load the image that an optional input names, else take the default."""
    return nib.load(path) if isdefined(path) else default


class _DrawInput(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="image in template space")
    in_mask = File(exists=True, mandatory=True, desc="its brain mask")
    resolution = traits.Float(mandatory=True, desc="voxel edge of the template grid in mm")
    title = traits.Str(mandatory=True, desc="title of the picture")
    outlines = traits.Enum("registration", "confounds", usedefault=True, desc="what is drawn on the image")
    csf = File(exists=True, desc="mask of the ventricles; the template's if none is given")
    white_matter = File(exists=True, desc="mask of deep white matter; the template's if none is given")


class DrawRegistration(Step):
    """Draw an image in template space with its mask, and the template's tissues or the masks of the confounds."""

    input_spec = _DrawInput
    output_spec = OneFile

    def compute(self, folder: Path) -> dict[str, Any]:
        from gradspec.preprocess.pictures import draw_registration
        from gradspec.preprocess.template import load_template

        template = load_template(self.inputs.resolution)
        image, mask = nib.load(self.inputs.in_file), nib.load(self.inputs.in_mask)
        others = {
            "registration": _template_outlines(template),
            "confounds": [
                ("ventricles", "#4cc9f0", _given(self.inputs.csf, template.csf)),
                ("deep white matter", "#f72585", _given(self.inputs.white_matter, template.white_matter)),
            ],
        }[self.inputs.outlines]
        contours = _as_contours([("mask of the image", "#ffd166", mask), *others])
        path = folder / "registration.png"
        draw_registration(image.get_fdata(dtype=np.float32), contours, image.affine, self.inputs.title, path)
        return {"out_file": str(path)}


class _DrawNormalizationInput(BaseInterfaceInputSpec):
    before = File(exists=True, mandatory=True, desc="brain of the image where the scanner had it")
    after = File(exists=True, mandatory=True, desc="the same in template space")
    title = traits.Str(mandatory=True, desc="title of the picture")


class DrawNormalization(Step):
    """Draw an image before and after normalisation below the outlines of the template."""

    input_spec = _DrawNormalizationInput
    output_spec = OneFile

    def compute(self, folder: Path) -> dict[str, Any]:
        from gradspec.preprocess.pictures import draw_before_after
        from gradspec.preprocess.resampling import resample_to_grid
        from gradspec.preprocess.template import load_template

        after, before = nib.load(self.inputs.after), nib.load(self.inputs.before)
        template = load_template(float(after.header.get_zooms()[0]))
        contours = _as_contours(_template_outlines(template))
        draw_before_after(
            resample_to_grid(before.get_fdata(dtype=np.float32), before.affine, np.eye(4), after.shape, after.affine),
            after.get_fdata(dtype=np.float32),
            contours,
            self.inputs.title,
            folder / "normalization.png",
        )
        return {"out_file": str(folder / "normalization.png")}


class _DrawCoregistrationInput(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="BOLD reference")
    t1w = File(exists=True, mandatory=True, desc="brain of the T1w image")
    transform = File(exists=True, mandatory=True, desc="transform of CoregisterBold")
    title = traits.Str(mandatory=True, desc="title of the picture")


class DrawCoregistration(Step):
    """Draw the BOLD reference before and after coregistration below the outlines of the T1w image."""

    input_spec = _DrawCoregistrationInput
    output_spec = OneFile

    def compute(self, folder: Path) -> dict[str, Any]:
        from gradspec.preprocess.geometry import read_itk_transforms
        from gradspec.preprocess.masks import brightest_class
        from gradspec.preprocess.pictures import draw_before_after
        from gradspec.preprocess.resampling import resample_to_grid

        bold, t1w = nib.load(self.inputs.in_file), nib.load(self.inputs.t1w)
        step = max(1, round(_COREGISTRATION_GRID / float(min(t1w.header.get_zooms()))))
        brain = t1w.get_fdata(dtype=np.float32)[::step, ::step, ::step]
        affine = t1w.affine @ np.diag([step, step, step, 1])
        contours = [
            ("T1w brain", "#ef476f", (brain > 0).astype(np.float32)),
            ("T1w white matter", "#06d6a0", brightest_class(brain).astype(np.float32)),
        ]
        reference, to_bold = bold.get_fdata(dtype=np.float32), read_itk_transforms(Path(self.inputs.transform))[0]
        draw_before_after(
            resample_to_grid(reference, bold.affine, np.eye(4), brain.shape, affine),
            resample_to_grid(reference, bold.affine, to_bold, brain.shape, affine),
            contours,
            self.inputs.title,
            folder / "coregistration.png",
        )
        return {"out_file": str(folder / "coregistration.png")}
