"""The confounds, quality numbers and charts of a run, from one reading of it."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nipype.interfaces.base import BaseInterfaceInputSpec, File, TraitedSpec, isdefined, traits

from gradspec.preprocess.interfaces.base import Step


class _ConfoundsInput(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="the run in template space")
    in_mask = File(exists=True, mandatory=True, desc="its brain mask")
    motion = File(exists=True, mandatory=True, desc="transforms of EstimateMotion")
    boldref = File(exists=True, mandatory=True, desc="BOLD reference, for the centre of rotations")
    resolution = traits.Float(mandatory=True, desc="voxel edge of the template grid in mm")
    repetition_time = traits.Float(mandatory=True, desc="in s")
    groups = traits.List(traits.Str(), mandatory=True, desc="groups of confounds that are made")
    csf = File(exists=True, desc="mask of the ventricles; the template's if none is given")
    white_matter = File(exists=True, desc="mask of deep white matter; the template's if none is given")
    normalization_overlap = traits.Float(desc="overlap of the T1w image's MapTemplate, where there is one")
    n_dummies = traits.Int(mandatory=True, desc="number of dummy scans at the start")
    title = traits.Str(mandatory=True, desc="title of the carpet plot")


class _ConfoundsOutput(TraitedSpec):
    table = File(exists=True, desc="confounds table; its sidecar lies beside")
    sidecar = File(exists=True, desc="description of its columns")
    quality = File(exists=True, desc="quality numbers (JSON)")
    carpet = File(exists=True, desc="carpet plot")
    correlation = File(exists=True, desc="correlation of the confounds")
    tsnr = File(exists=True, desc="temporal signal-to-noise ratio as slices")


class GatherConfounds(Step):
    """Make the confounds table, the quality numbers, and the charts from one reading of the run."""

    input_spec = _ConfoundsInput
    output_spec = _ConfoundsOutput

    def compute(self, folder: Path) -> dict[str, Any]:
        from gradspec.files import write_json, write_table
        from gradspec.preprocess.charts import draw_carpet, draw_confound_correlation
        from gradspec.preprocess.confounds import describe_columns, make_confounds
        from gradspec.preprocess.geometry import image_centre, read_itk_transforms
        from gradspec.preprocess.pictures import draw_map
        from gradspec.preprocess.quality import dice, measure_run, temporal_snr
        from gradspec.preprocess.template import load_template

        template = load_template(self.inputs.resolution)
        mask = np.asarray(nib.load(self.inputs.in_mask).dataobj) > 0
        brain = np.ascontiguousarray(np.asarray(nib.load(self.inputs.in_file).dataobj)[mask].T)
        tissues = {}
        for name, default in (("csf", template.csf), ("white_matter", template.white_matter)):
            given = getattr(self.inputs, name)
            tissue = nib.load(given) if isdefined(given) else default
            tissues[name] = np.asarray(tissue.dataobj)[mask] > 0
        boldref = nib.load(self.inputs.boldref)
        centre = image_centre(boldref.shape, boldref.affine)
        motion = read_itk_transforms(Path(self.inputs.motion))
        n_dummies = self.inputs.n_dummies
        groups, repetition_time = self.inputs.groups, self.inputs.repetition_time
        table = make_confounds(brain, tissues, motion, centre, repetition_time, n_dummies, groups)
        own = isdefined(self.inputs.csf)
        write_table(table, folder / "confounds.tsv", describe_columns(list(table), "T1w image" if own else "template"))
        overlaps = {"overlap": dice(mask, template.brain.get_fdata() > 0.5)}
        if isdefined(self.inputs.normalization_overlap):
            overlaps["normalization_overlap"] = self.inputs.normalization_overlap
        tsnr = temporal_snr(brain[n_dummies:])
        quality = measure_run(table, tsnr, marked="outliers" in groups, **overlaps)
        write_json(quality, folder / "quality.json")
        shown = [
            ("grey matter", "#6b8e23", template.gray_matter.get_fdata()[mask] > 0.5),
            ("white matter", "#b0b0b0", tissues["white_matter"]),
            ("ventricles", "#4682b4", tissues["csf"]),
        ]
        title, label = self.inputs.title, "temporal signal-to-noise ratio"
        draw_carpet(brain, shown, table, repetition_time, title, folder / "carpet.png")
        draw_confound_correlation(table, title, folder / "correlation.png")
        draw_map(tsnr, mask, template.brain.affine, label, title, folder / "tsnr.png")
        return {
            "table": str(folder / "confounds.tsv"),
            "sidecar": str(folder / "confounds.json"),
            "quality": str(folder / "quality.json"),
            **{name: str(folder / f"{name}.png") for name in ("carpet", "correlation", "tsnr")},
        }
