"""Steps on the T1w image and the template."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nipype.interfaces.base import BaseInterfaceInputSpec, File, TraitedSpec, traits

from gradspec.preprocess.interfaces.base import InFile, OneFile, OneMask, Step


class ConformT1w(Step):
    """Turn a T1w image to RAS order, no finer than 1 mm."""

    input_spec = InFile
    output_spec = OneFile

    def compute(self, folder: Path) -> dict[str, Any]:
        from gradspec.preprocess.images import conform_t1w, write_image

        image = conform_t1w(Path(self.inputs.in_file))
        path = folder / "t1w.nii"
        write_image(image.get_fdata(dtype=np.float32), image.affine, path, code="scanner")
        return {"out_file": str(path)}


class ExtractBrain(Step):
    """Mask the brain of a T1w image with deepbet."""

    input_spec = InFile
    output_spec = OneMask

    def compute(self, folder: Path) -> dict[str, Any]:
        from gradspec.preprocess.images import write_image
        from gradspec.preprocess.masks import extract_brain

        image = nib.load(self.inputs.in_file)
        path = folder / "mask.nii"
        write_image(extract_brain(image).astype(np.uint8), image.affine, path, code="scanner")
        return {"out_mask": str(path)}


class _ApplyMaskInput(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="image")
    in_mask = File(exists=True, mandatory=True, desc="mask on the same grid")


class ApplyMask(Step):
    """Set an image to zero outside a mask."""

    input_spec = _ApplyMaskInput
    output_spec = OneFile

    def compute(self, folder: Path) -> dict[str, Any]:
        from gradspec.preprocess.images import write_image

        image = nib.load(self.inputs.in_file)
        inside = np.asarray(nib.load(self.inputs.in_mask).dataobj) > 0
        path = folder / "brain.nii"
        write_image(
            np.where(inside, image.get_fdata(dtype=np.float32), np.float32(0)), image.affine, path, code="scanner"
        )
        return {"out_file": str(path)}


class _TemplateInput(BaseInterfaceInputSpec):
    resolution = traits.Float(mandatory=True, desc="voxel edge in mm")
    contrast = traits.Enum("T1w", "EPI", usedefault=True, desc="what the image looks like")


class WriteTemplate(Step):
    """Write the template for programs that read files."""

    input_spec = _TemplateInput
    output_spec = OneFile

    def compute(self, folder: Path) -> dict[str, Any]:
        from gradspec.preprocess.template import load_template_epi, load_template_t1w

        load = {"T1w": load_template_t1w, "EPI": load_template_epi}[self.inputs.contrast]
        path = folder / "template.nii"
        nib.save(load(self.inputs.resolution), path)
        return {"out_file": str(path)}


class _MapInput(BaseInterfaceInputSpec):
    transform = File(exists=True, mandatory=True, desc="image to template, for resampling")
    in_file = File(exists=True, mandatory=True, desc="the image that was registered to the template")
    in_mask = File(exists=True, mandatory=True, desc="its brain mask")
    resolution = traits.Float(mandatory=True, desc="voxel edge of the template grid in mm")


class _MapOutput(TraitedSpec):
    points = File(exists=True, desc="where the voxels of the (dilated) template brain lie in the image (.npy)")
    out_file = File(exists=True, desc="the image in template space")
    out_mask = File(exists=True, desc="its brain mask in template space")
    overlap = traits.Float(desc="Dice coefficient of that mask with the template's")


class MapTemplate(Step):
    """Find where the template's voxels lie in an image that was registered to it, and bring image and mask there."""

    input_spec = _MapInput
    output_spec = _MapOutput

    def compute(self, folder: Path) -> dict[str, Any]:
        from gradspec.preprocess.images import write_image
        from gradspec.preprocess.quality import dice
        from gradspec.preprocess.resampling import sample, template_to_t1w
        from gradspec.preprocess.template import dilated_brain, load_template

        template = load_template(self.inputs.resolution)
        inside, affine = dilated_brain(template), template.brain.affine
        points = template_to_t1w(Path(self.inputs.transform), inside, affine)
        np.save(folder / "points.npy", points)
        native, brain = nib.load(self.inputs.in_file), nib.load(self.inputs.in_mask)
        image, mask = np.zeros(inside.shape, dtype=np.float32), np.zeros(inside.shape, dtype=np.uint8)
        mask[inside] = sample(brain.get_fdata(dtype=np.float32), brain.affine, points, order=1) > 0.5
        image[inside] = sample(native.get_fdata(dtype=np.float32), native.affine, points)
        write_image(image, affine, folder / "image.nii")
        write_image(mask, affine, folder / "mask.nii")
        overlap = dice(mask > 0, template.brain.get_fdata() > 0.5)
        return {
            "points": str(folder / "points.npy"),
            "out_file": str(folder / "image.nii"),
            "out_mask": str(folder / "mask.nii"),
            "overlap": overlap,
        }


class _TissuesInput(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="three classes of the T1w image, 1 to 3")
    t1w = File(exists=True, mandatory=True, desc="the T1w image")
    points = File(exists=True, mandatory=True, desc="points of MapTemplate")
    resolution = traits.Float(mandatory=True, desc="voxel edge of the template grid in mm")


class _TissuesOutput(TraitedSpec):
    out_file = File(exists=True, desc="tissues of the T1w image")
    csf = File(exists=True, desc="mask of the ventricles in template space")
    white_matter = File(exists=True, desc="mask of deep white matter in template space")


class MapTissues(Step):
    """Name the classes of the T1w image, and bring what confounds are taken from to the template."""

    input_spec = _TissuesInput
    output_spec = _TissuesOutput

    def compute(self, folder: Path) -> dict[str, Any]:
        from gradspec.preprocess.images import write_image
        from gradspec.preprocess.resampling import sample
        from gradspec.preprocess.template import dilated_brain, load_template
        from gradspec.preprocess.tissues import erode_tissues, name_classes

        template = load_template(self.inputs.resolution)
        inside, affine = dilated_brain(template), template.brain.affine
        points = np.load(self.inputs.points, allow_pickle=False)
        image = nib.load(self.inputs.t1w)
        classes = np.asarray(nib.load(self.inputs.in_file).dataobj).astype(np.uint8)
        tissues = name_classes(classes, image.get_fdata(dtype=np.float32))
        write_image(tissues, image.affine, folder / "tissues.nii", code="scanner")
        spacing = np.linalg.norm(image.affine[:3, :3], axis=0)
        for name, mask in erode_tissues(tissues, spacing).items():
            there = np.zeros(inside.shape, dtype=np.uint8)
            there[inside] = sample(mask.astype(np.float32), image.affine, points, order=1) > 0.5
            write_image(there, affine, folder / f"{name}.nii")
        return {
            "out_file": str(folder / "tissues.nii"),
            **{name: str(folder / f"{name}.nii") for name in ("csf", "white_matter")},
        }
