"""The last step: a result put in its place among the derivatives."""

import json
import shutil
from pathlib import Path
from typing import Any

from nibabel.openers import ImageOpener
from nipype.interfaces.base import BaseInterfaceInputSpec, File, traits

from gradspec.preprocess.interfaces.base import OneFile, Step


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
