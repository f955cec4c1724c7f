"""The steps as nipype interfaces: each reads files, calls one function of this stage, writes into its own folder."""

from pathlib import Path
from typing import Any, ClassVar

import nibabel as nib
import numpy as np
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    SimpleInterface,
    TraitedSpec,
    isdefined,
    traits,
)

from gradspec.errors import ParticipantError


class Step(SimpleInterface):
    """An interface that remembers why it gave up: nipype turns exceptions into text."""

    refused: ClassVar[list[ParticipantError]] = []

    def _run_interface(self, runtime: Any) -> Any:
        try:
            self._results.update(self.compute(Path(runtime.cwd)))
        except ParticipantError as error:
            Step.refused.append(error)
            raise
        return runtime

    def compute(self, folder: Path) -> dict[str, Any]:
        """Do the work of the step in `folder` and return its outputs."""
        raise NotImplementedError


class _ConformInput(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="raw T1w image")


class OneFile(TraitedSpec):
    """Outputs of a step that makes one file."""

    out_file = File(exists=True, desc="result")


class ConformT1w(Step):
    """Turn a T1w image to RAS order, no finer than 1 mm."""

    input_spec = _ConformInput
    output_spec = OneFile

    def compute(self, folder: Path) -> dict[str, Any]:
        from gradspec.preprocess.images import conform_t1w, write_image

        image = conform_t1w(Path(self.inputs.in_file))
        path = folder / "t1w.nii"
        write_image(image.get_fdata(dtype=np.float32), image.affine, path, code="scanner")
        return {"out_file": str(path)}


class _MaskOutput(TraitedSpec):
    out_mask = File(exists=True, desc="brain mask")


class ExtractBrain(Step):
    """Mask the brain of a T1w image with deepbet."""

    input_spec = _ConformInput
    output_spec = _MaskOutput

    def compute(self, folder: Path) -> dict[str, Any]:
        from gradspec.preprocess.images import write_image
        from gradspec.preprocess.masks import extract_brain

        image = nib.load(self.inputs.in_file)
        path = folder / "mask.nii"
        write_image(extract_brain(image).astype(np.uint8), image.affine, path, code="scanner")
        return {"out_mask": str(path)}


class MaskBold(Step):
    """Mask the brain of a BOLD reference."""

    input_spec = _ConformInput
    output_spec = _MaskOutput

    def compute(self, folder: Path) -> dict[str, Any]:
        from gradspec.preprocess.images import write_image
        from gradspec.preprocess.masks import mask_bold

        image = nib.load(self.inputs.in_file)
        path = folder / "mask.nii"
        mask = mask_bold(image.get_fdata(dtype=np.float32), image.affine)
        write_image(mask.astype(np.uint8), image.affine, path, code="scanner")
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


class WriteTemplate(Step):
    """Write the template for programs that read files."""

    input_spec = _TemplateInput
    output_spec = OneFile

    def compute(self, folder: Path) -> dict[str, Any]:
        from gradspec.preprocess.template import load_template_t1w

        path = folder / "template.nii"
        nib.save(load_template_t1w(self.inputs.resolution), path)
        return {"out_file": str(path)}


class _MapInput(BaseInterfaceInputSpec):
    transform = File(exists=True, mandatory=True, desc="T1w to template, for resampling")
    t1w = File(exists=True, mandatory=True, desc="bias-corrected T1w image")
    t1w_mask = File(exists=True, mandatory=True, desc="its brain mask")
    resolution = traits.Float(mandatory=True, desc="voxel edge of the template grid in mm")


class _MapOutput(TraitedSpec):
    points = File(exists=True, desc="where the voxels of the (dilated) template brain lie in the T1w image (.npy)")
    t1w = File(exists=True, desc="brain of the T1w image in template space")
    mask = File(exists=True, desc="brain mask of the T1w image in template space")
    overlap = traits.Float(desc="Dice coefficient of that mask with the template's")


class MapTemplate(Step):
    """Find where the template's voxels lie in the T1w image, and bring image and mask there."""

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
        image, brain = nib.load(self.inputs.t1w), nib.load(self.inputs.t1w_mask)
        t1w, mask = np.zeros(inside.shape, dtype=np.float32), np.zeros(inside.shape, dtype=np.uint8)
        mask[inside] = sample(brain.get_fdata(dtype=np.float32), brain.affine, points, order=1) > 0.5
        t1w[inside] = sample(image.get_fdata(dtype=np.float32), image.affine, points)
        write_image(t1w, affine, folder / "t1w.nii")
        write_image(mask, affine, folder / "mask.nii")
        overlap = dice(mask > 0, template.brain.get_fdata() > 0.5)
        return {
            "points": str(folder / "points.npy"),
            "t1w": str(folder / "t1w.nii"),
            "mask": str(folder / "mask.nii"),
            "overlap": overlap,
        }


class _MotionInput(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="raw BOLD run")
    method = traits.Enum("precise", "fast", mandatory=True, desc="estimator")
    seed = traits.Int(mandatory=True, desc="seed of the sample of voxels (precise)")
    dummy_scans = traits.Int(desc="number of dummy scans where it is known; detected otherwise")


class _MotionOutput(TraitedSpec):
    reference = File(exists=True, desc="BOLD reference")
    transforms = File(exists=True, desc="reference to each volume, for resampling (ITK text)")
    n_dummies = traits.Int(desc="number of dummy scans at the start")


class EstimateMotion(Step):
    """Count the dummy scans, make the BOLD reference, and find the pose of the head in every volume."""

    input_spec = _MotionInput
    output_spec = _MotionOutput

    def compute(self, folder: Path) -> dict[str, Any]:
        from gradspec.preprocess.dummy_scans import count_dummy_scans
        from gradspec.preprocess.geometry import write_itk_transforms
        from gradspec.preprocess.images import read_image, write_image
        from gradspec.preprocess.realignment import realign_run

        image, bold = read_image(Path(self.inputs.in_file), 4)
        stated = self.inputs.dummy_scans
        n_dummies = count_dummy_scans(bold, stated if isdefined(stated) else None)
        reference, matrices = realign_run(bold, image.affine, self.inputs.method, self.inputs.seed, n_dummies)
        write_image(reference, image.affine, folder / "boldref.nii", code="scanner")
        write_itk_transforms(matrices, folder / "motion.txt")
        return {
            "reference": str(folder / "boldref.nii"),
            "transforms": str(folder / "motion.txt"),
            "n_dummies": n_dummies,
        }


class _SliceTimingInput(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="raw BOLD run")
    times = traits.List(traits.Float(), mandatory=True, desc="time of each slice in s; empty where unknown")
    direction = traits.Str(mandatory=True, desc="axis of the slices, as in BIDS")
    repetition_time = traits.Float(mandatory=True, desc="in s")
    n_dummies = traits.Int(mandatory=True, desc="number of dummy scans at the start")


class CorrectSliceTiming(Step):
    """Bring all slices of a volume to the middle of its acquisition."""

    input_spec = _SliceTimingInput
    output_spec = OneFile

    def compute(self, folder: Path) -> dict[str, Any]:
        from gradspec.preprocess.images import read_image, write_image
        from gradspec.preprocess.slice_timing import check_slice_times, correct_slice_timing

        path, time = Path(self.inputs.in_file), self.inputs.repetition_time
        image, bold = read_image(path, 4)
        try:
            check_slice_times(self.inputs.times or None, self.inputs.direction, bold.shape, time)
        except ParticipantError as error:
            raise ParticipantError(error.reason, file=path) from error
        corrected = correct_slice_timing(bold, self.inputs.times, self.inputs.direction, time, self.inputs.n_dummies)
        write_image(corrected, image.affine, folder / "bold.nii", code="scanner", repetition_time=time)
        return {"out_file": str(folder / "bold.nii")}


class _CoregisterInput(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="brain of the BOLD reference")
    t1w = File(exists=True, mandatory=True, desc="brain of the T1w image")
    seed = traits.Int(mandatory=True, desc="seed of the sample of voxels")


class _TransformOutput(TraitedSpec):
    transform = File(exists=True, desc="T1w point to BOLD reference point, for resampling to the T1w image (ITK text)")


class CoregisterBold(Step):
    """Rigidly bring the BOLD reference to the T1w image."""

    input_spec = _CoregisterInput
    output_spec = _TransformOutput

    def compute(self, folder: Path) -> dict[str, Any]:
        from gradspec.preprocess.geometry import write_itk_transforms
        from gradspec.preprocess.mutual_information import coregister

        bold, t1w = nib.load(self.inputs.in_file), nib.load(self.inputs.t1w)
        to_t1w = coregister(
            bold.get_fdata(dtype=np.float32),
            bold.affine,
            t1w.get_fdata(dtype=np.float32),
            t1w.affine,
            self.inputs.seed,
        )
        path = folder / "coregistration.txt"
        write_itk_transforms(np.linalg.inv(to_t1w)[np.newaxis], path)
        return {"transform": str(path)}


class _ResampleInput(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="raw BOLD run")
    in_mask = File(exists=True, mandatory=True, desc="brain mask of the BOLD reference")
    motion = File(exists=True, mandatory=True, desc="transforms of EstimateMotion")
    coregistration = File(exists=True, mandatory=True, desc="transform of CoregisterBold")
    points = File(exists=True, mandatory=True, desc="points of MapTemplate")
    resolution = traits.Float(mandatory=True, desc="voxel edge of the template grid in mm")
    repetition_time = traits.Float(mandatory=True, desc="in s")


class _ResampleOutput(TraitedSpec):
    bold = File(exists=True, desc="the run in template space")
    mask = File(exists=True, desc="its brain mask")
    reference = File(exists=True, desc="its temporal mean")


class ResampleBold(Step):
    """Bring a run to the template with one interpolation."""

    input_spec = _ResampleInput
    output_spec = _ResampleOutput

    def compute(self, folder: Path) -> dict[str, Any]:
        from gradspec.preprocess.geometry import read_itk_transforms
        from gradspec.preprocess.images import read_image, write_image
        from gradspec.preprocess.resampling import resample_run, sample, transform_points
        from gradspec.preprocess.template import dilated_brain, load_template

        template = load_template(self.inputs.resolution)
        inside, affine = dilated_brain(template), template.brain.affine
        points = np.load(self.inputs.points, allow_pickle=False)
        to_reference = read_itk_transforms(Path(self.inputs.coregistration))[0]
        image, bold = read_image(Path(self.inputs.in_file), 4)
        motion = read_itk_transforms(Path(self.inputs.motion))
        resampled = np.zeros((*inside.shape, len(motion)), dtype=np.float32, order="F")
        volumes = resample_run(bold, image.affine, motion, to_reference, points)
        covered = np.ones(len(points), dtype=bool)
        for index, values in enumerate(volumes):
            covered &= values != 0
            resampled[inside, index] = values
        brain = nib.load(self.inputs.in_mask)
        at_reference = transform_points(to_reference, points)
        mask = np.zeros(inside.shape, dtype=np.uint8)
        mask[inside] = covered & (sample(brain.get_fdata(dtype=np.float32), brain.affine, at_reference, order=1) > 0.5)
        paths = {name: folder / f"{name}.nii" for name in ("bold", "mask", "reference")}
        write_image(resampled, affine, paths["bold"], repetition_time=self.inputs.repetition_time)
        write_image(mask, affine, paths["mask"])
        write_image(resampled.mean(axis=3), affine, paths["reference"])
        return {name: str(path) for name, path in paths.items()}


class _ConfoundsInput(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="the run in template space")
    in_mask = File(exists=True, mandatory=True, desc="its brain mask")
    motion = File(exists=True, mandatory=True, desc="transforms of EstimateMotion")
    boldref = File(exists=True, mandatory=True, desc="BOLD reference, for the centre of rotations")
    resolution = traits.Float(mandatory=True, desc="voxel edge of the template grid in mm")
    repetition_time = traits.Float(mandatory=True, desc="in s")
    normalization_overlap = traits.Float(mandatory=True, desc="overlap of MapTemplate")
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
        tissues = {
            "csf": template.csf.get_fdata()[mask] > 0,
            "white_matter": template.white_matter.get_fdata()[mask] > 0,
        }
        boldref = nib.load(self.inputs.boldref)
        centre = image_centre(boldref.shape, boldref.affine)
        motion = read_itk_transforms(Path(self.inputs.motion))
        n_dummies = self.inputs.n_dummies
        table = make_confounds(brain, tissues, motion, centre, self.inputs.repetition_time, n_dummies)
        write_table(table, folder / "confounds.tsv", describe_columns(list(table)))
        overlap = dice(mask, template.brain.get_fdata() > 0.5)
        tsnr = temporal_snr(brain[n_dummies:])
        quality = measure_run(table, tsnr, overlap=overlap, normalization_overlap=self.inputs.normalization_overlap)
        write_json(quality, folder / "quality.json")
        shown = [
            ("grey matter", "#6b8e23", template.gray_matter.get_fdata()[mask] > 0.5),
            ("white matter", "#b0b0b0", tissues["white_matter"]),
            ("ventricles", "#4682b4", tissues["csf"]),
        ]
        title, label = self.inputs.title, "temporal signal-to-noise ratio"
        draw_carpet(brain, shown, table, self.inputs.repetition_time, title, folder / "carpet.png")
        draw_confound_correlation(table, title, folder / "correlation.png")
        draw_map(tsnr, mask, template.brain.affine, label, title, folder / "tsnr.png")
        return {
            "table": str(folder / "confounds.tsv"),
            "sidecar": str(folder / "confounds.json"),
            "quality": str(folder / "quality.json"),
            **{name: str(folder / f"{name}.png") for name in ("carpet", "correlation", "tsnr")},
        }
