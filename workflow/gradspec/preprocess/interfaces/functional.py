"""Steps on a BOLD run, from the raw volumes to the template."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nipype.interfaces.base import BaseInterfaceInputSpec, File, TraitedSpec, isdefined, traits

from gradspec.errors import ParticipantError
from gradspec.preprocess.interfaces.base import InFile, OneFile, OneMask, Step


class MaskBold(Step):
    """Mask the brain of a BOLD reference."""

    input_spec = InFile
    output_spec = OneMask

    def compute(self, folder: Path) -> dict[str, Any]:
        from gradspec.preprocess.images import write_image
        from gradspec.preprocess.masks import mask_bold

        image = nib.load(self.inputs.in_file)
        path = folder / "mask.nii"
        mask = mask_bold(image.get_fdata(dtype=np.float32), image.affine)
        write_image(mask.astype(np.uint8), image.affine, path, code="scanner")
        return {"out_mask": str(path)}


class _MotionInput(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="raw BOLD run")
    method = traits.Enum("precise", "fast", "none", mandatory=True, desc="estimator")
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
        if self.inputs.method == "none":
            reference = bold[..., n_dummies:].mean(axis=3, dtype=float).astype(np.float32)
            matrices = np.tile(np.eye(4), (bold.shape[3], 1, 1))
        else:
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


class _NormalizeInput(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="brain of the BOLD reference")
    template = File(exists=True, mandatory=True, desc="brain of the template in the contrast of a BOLD reference")
    seed = traits.Int(mandatory=True, desc="seed of the sample of voxels")


class _NormalizeOutput(TraitedSpec):
    to_template = File(exists=True, desc="template point to BOLD reference point, for resampling (ITK text)")
    from_template = File(exists=True, desc="the inverse")


class NormalizeBold(Step):
    """Bring the BOLD reference to the template by an affine transform."""

    input_spec = _NormalizeInput
    output_spec = _NormalizeOutput

    def compute(self, folder: Path) -> dict[str, Any]:
        from gradspec.preprocess.geometry import write_itk_transforms
        from gradspec.preprocess.mutual_information import normalize_epi

        bold, template = nib.load(self.inputs.in_file), nib.load(self.inputs.template)
        matrix = normalize_epi(
            bold.get_fdata(dtype=np.float32),
            bold.affine,
            template.get_fdata(dtype=np.float32),
            template.affine,
            self.inputs.seed,
        )
        paths = {name: folder / f"{name}.txt" for name in ("to_template", "from_template")}
        write_itk_transforms(np.linalg.inv(matrix)[np.newaxis], paths["to_template"])
        write_itk_transforms(matrix[np.newaxis], paths["from_template"])
        return {name: str(path) for name, path in paths.items()}


class _ResampleInput(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="raw BOLD run")
    in_mask = File(exists=True, mandatory=True, desc="brain mask of the BOLD reference")
    motion = File(exists=True, mandatory=True, desc="transforms of EstimateMotion")
    coregistration = File(exists=True, desc="transform of CoregisterBold; none if the reference itself was normalised")
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
        to_reference = np.eye(4)
        if isdefined(self.inputs.coregistration):
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
