r"""What tells networks from artefacts: the spectrum of a component's time courses, and where in the head its map lies.

Networks fluctuate slowly and lie in grey matter; motion is at the edge of the brain, pulsation in liquor, and both
reach to high frequencies (Allen et al. 2011, Front. Syst. Neurosci. 5:2; Pruim et al. 2015, NeuroImage 112:267). Each
feature is compared with what a component without any structure would have, so that the limits depend neither on voxel
size nor on the length of a run. A mark is a hint to look at the component, not a verdict, and nothing is removed.
"""

import nibabel as nib
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from nibabel.spatialimages import SpatialImage
from scipy.ndimage import binary_erosion, distance_transform_edt

from gradspec.ica.labels import component_names

_SLOW = (0.01, 0.1)  # Hz, the band of fluctuations at rest (Zou et al. 2008, J. Neurosci. Methods 172:137)
_THRESHOLD = 2.0  # z; what is below is not counted as the component's place
_EDGE = 6.0  # mm from the outside of the mask that belong to its edge; one voxel at least
_ENRICHED = 2.0  # times the share of voxels that lie there

ARTEFACTS_COLUMNS = {
    "component": "Name of the component; in the order of the volumes of the maps",
    "falff": "Share of the amplitude between 0.01 and 0.1 Hz in that of all frequencies (fALFF), mean over runs, "
    "before despiking and filtering",
    "falff_flat": "The same for a flat spectrum: a component below it fluctuates less slowly than white noise",
    "dynamic_range": "Largest share of a frequency in the variance, less the smallest at a higher frequency",
    "edge_fraction": "Share of the map (sum of |z| above 2) within 6 mm (at least a voxel) of the outside of the mask",
    "edge_voxels": "Share of the voxels of the mask that lie there",
    "csf_fraction": "Share of the map in cerebrospinal fluid, by the tissue probabilities of the MNI152 template",
    "csf_voxels": "Mean probability of cerebrospinal fluid over the mask",
    "artefact": "Whether the component is likely an artefact",
    "reason": "Why it is: spectrum (fALFF below that of a flat spectrum), edge or csf (more than twice the share of "
    "the voxels); n/a for others",
}


def describe_artefacts(
    maps: Float[np.ndarray, "component voxel"],
    mask: SpatialImage,
    frequency: Float[np.ndarray, " frequency"],
    power: Float[np.ndarray, "participant frequency component"],
    csf: Float[np.ndarray, " voxel"],
) -> pd.DataFrame:
    """Compute the features of every component and mark likely artefacts.

    Parameters
    ----------
    maps : array, (component, voxel)
        Maps; z-scored here.
    mask : image
        3-D mask.
    frequency : array, (frequency,)
        Hz, without zero.
    power : array, (participant, frequency, component)
        Share of each frequency in the variance of each time course.
    csf : array, (voxel,)
        Probability of cerebrospinal fluid, as `csf_probability` gives it.

    Returns
    -------
    DataFrame
        A row a component; columns are described in `ARTEFACTS_COLUMNS`.
    """
    spectrum = power.mean(axis=0)
    low = falff(frequency, power)
    flat = float(_slow(frequency).mean())
    edge = edge_of(mask)
    at_edge, in_csf = map_fraction(maps, edge.astype(np.float64)), map_fraction(maps, csf)
    reasons = {
        "spectrum": low < flat,
        "edge": at_edge > _ENRICHED * edge.mean(),
        "csf": in_csf > _ENRICHED * csf.mean(),
    }
    marked = np.stack(list(reasons.values()))
    return pd.DataFrame(
        {
            "component": component_names(len(maps)),
            "falff": low,
            "falff_flat": flat,
            "dynamic_range": dynamic_range(spectrum),
            "edge_fraction": at_edge,
            "edge_voxels": edge.mean(),
            "csf_fraction": in_csf,
            "csf_voxels": csf.mean(),
            "artefact": marked.any(axis=0),
            "reason": [", ".join(np.array(list(reasons))[why]) or None for why in marked.T],
        }
    )


def falff(
    frequency: Float[np.ndarray, " frequency"], power: Float[np.ndarray, "participant frequency component"]
) -> Float[np.ndarray, " component"]:
    """Return the fractional amplitude of low-frequency fluctuations, 0.01 to 0.1 Hz (Zou et al. 2008), mean over runs.

    Parameters
    ----------
    frequency : array, (frequency,)
        Hz, without zero.
    power : array, (participant, frequency, component)
        Power of time courses that were not filtered.

    Returns
    -------
    array, (component,)
        Share of the sum of amplitudes (roots of power).
    """
    amplitude = np.sqrt(power)
    total = amplitude.sum(axis=1)
    share = amplitude[:, _slow(frequency)].sum(axis=1) / np.where(total > 0, total, 1)
    return np.asarray(share.mean(axis=0))


def dynamic_range(spectrum: Float[np.ndarray, "frequency component"]) -> Float[np.ndarray, " component"]:
    """Return peak power less the smallest power at a frequency above that of the peak (Allen et al. 2011)."""
    peak = spectrum.argmax(axis=0)
    lowest = [spectrum[first:, k].min() for k, first in enumerate(peak)]
    return np.asarray(spectrum.max(axis=0) - lowest)


def map_fraction(
    maps: Float[np.ndarray, "component voxel"], place: Float[np.ndarray, " voxel"]
) -> Float[np.ndarray, " component"]:
    """Return how much of a map (sum of |z| beyond 2) lies in a place.

    Parameters
    ----------
    maps : array, (component, voxel)
        Maps; z-scored here.
    place : array, (voxel,)
        Share of each voxel that belongs to the place, 0 to 1.

    Returns
    -------
    array, (component,)
        From 0 to 1; 0 for a map that is nowhere beyond 2.
    """
    centred = maps - maps.mean(axis=1, keepdims=True)
    deviation = centred.std(axis=1, keepdims=True)
    size = np.abs(centred / np.where(deviation > 0, deviation, 1))
    size = np.where(size > _THRESHOLD, size, 0)
    total = size.sum(axis=1)
    return np.asarray(size @ place / np.where(total > 0, total, 1))


def edge_of(mask: SpatialImage) -> Bool[np.ndarray, " voxel"]:
    """Say for each voxel of a mask whether it lies within 6 mm (at least a voxel) of the outside."""
    inside = np.pad(np.asanyarray(mask.dataobj) > 0, 1)
    depth = distance_transform_edt(inside, sampling=nib.affines.voxel_sizes(mask.affine))
    near = (depth < _EDGE) | ~binary_erosion(inside)
    return np.asarray(near[inside])


def csf_probability(mask: SpatialImage) -> Float[np.ndarray, " voxel"]:
    """Return the probability of cerebrospinal fluid within a mask in MNI space, from nilearn's MNI152 template.

    Parameters
    ----------
    mask : image
        3-D mask in MNI152 space.

    Returns
    -------
    array, (voxel,)
        What grey and white matter leave of the brain; 0 outside the template's brain.
    """
    from nilearn import datasets
    from nilearn.image import resample_img

    gray, white, brain = (
        load(resolution=2)
        for load in (
            datasets.load_mni152_gm_template,
            datasets.load_mni152_wm_template,
            datasets.load_mni152_brain_mask,
        )
    )
    tissue = gray.get_fdata(dtype=np.float32) + white.get_fdata(dtype=np.float32)
    liquor = np.clip(1 - tissue, 0, 1) * (brain.get_fdata(dtype=np.float32) > 0)
    inside = np.asanyarray(mask.dataobj) > 0
    # Averaged over the volume of a voxel, not sampled at its centre: sulci are narrower than most voxels.
    moved = resample_img(
        nib.Nifti1Image(_averaged(liquor, nib.affines.voxel_sizes(mask.affine) / 2), brain.affine),
        mask.affine,
        inside.shape,
        interpolation="linear",
        force_resample=True,
        copy_header=True,
    )
    return np.asarray(np.clip(moved.get_fdata(dtype=np.float32)[inside], 0, 1), dtype=np.float64)


def _averaged(values: Float[np.ndarray, "x y z"], width: Float[np.ndarray, "3"]) -> Float[np.ndarray, "x y z"]:
    """Smooth by a box of about `width` voxels."""
    from scipy.ndimage import uniform_filter

    return np.asarray(uniform_filter(values, size=[max(1, round(w)) for w in width], mode="nearest"))


def _slow(frequency: Float[np.ndarray, " frequency"]) -> Bool[np.ndarray, " frequency"]:
    return np.asarray((frequency >= _SLOW[0]) & (frequency <= _SLOW[1]))
