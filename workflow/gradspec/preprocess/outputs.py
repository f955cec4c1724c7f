"""The last steps as nipype interfaces: pictures of registrations, and results put in their places."""

import json
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.openers import ImageOpener
from nipype.interfaces.base import BaseInterfaceInputSpec, File, traits

from gradspec.preprocess.interfaces import OneFile, Step


class _DrawInput(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="image in template space")
    in_mask = File(exists=True, mandatory=True, desc="its brain mask")
    resolution = traits.Float(mandatory=True, desc="voxel edge of the template grid in mm")
    title = traits.Str(mandatory=True, desc="title of the picture")


class DrawRegistration(Step):
    """Draw an image in template space with its mask and the template's tissues as outlines."""

    input_spec = _DrawInput
    output_spec = OneFile

    def compute(self, folder: Path) -> dict[str, Any]:
        from gradspec.preprocess.pictures import draw_registration
        from gradspec.preprocess.template import load_template

        template = load_template(self.inputs.resolution)
        image, mask = nib.load(self.inputs.in_file), nib.load(self.inputs.in_mask)
        contours = [
            ("mask of the image", "#ffd166", mask.get_fdata(dtype=np.float32)),
            ("template brain", "#ef476f", template.brain.get_fdata(dtype=np.float32)),
            ("template grey matter", "#06d6a0", template.gray_matter.get_fdata(dtype=np.float32)),
        ]
        path = folder / "registration.png"
        draw_registration(image.get_fdata(dtype=np.float32), contours, image.affine, self.inputs.title, path)
        return {"out_file": str(path)}


class _SaveInput(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="a result")
    out_file = traits.Str(mandatory=True, desc="where it goes")
    sidecar = traits.Dict(desc="metadata written beside it as JSON; none without")


class SaveDerivative(Step):
    """Put a result at its place among the derivatives, with a sidecar; images are compressed on the way."""

    input_spec = _SaveInput
    output_spec = OneFile

    def compute(self, folder: Path) -> dict[str, Any]:
        source, target = Path(self.inputs.in_file), Path(self.inputs.out_file)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix == ".nii" and target.suffix == ".gz":
            with source.open("rb") as raw, ImageOpener(target, "wb") as packed:
                shutil.copyfileobj(raw, packed)
        elif target.suffix == ".h5":
            from gradspec.preprocess.geometry import copy_itk_hdf5

            copy_itk_hdf5(source, target)
        else:
            shutil.copyfile(source, target)
        if self.inputs.sidecar:
            name = target.name.removesuffix(".gz")
            text = json.dumps(dict(self.inputs.sidecar), indent=2, ensure_ascii=False)
            target.with_name(name).with_suffix(".json").write_text(text + "\n", encoding="utf-8")
        return {"out_file": str(target)}
