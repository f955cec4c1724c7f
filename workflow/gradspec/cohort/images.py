"""Read a NIfTI image, its header or all of it to the last byte, and say what is wrong with it."""

import gzip
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from gradspec.cohort.limits import require_image_size
from gradspec.errors import ParticipantError, raise_machine_fault

_TIME_UNITS = {0: ("unknown", 1.0), 8: ("sec", 1.0), 16: ("msec", 1e-3), 24: ("usec", 1e-6)}  # by NIfTI's codes
_TIME_BITS = 0x38  # of xyzt_units; the others are the unit of space
_SCANNER = 1  # NIfTI code of coordinates that the scanner gave
_SURPLUS = 1 << 24  # bytes behind the image that are read in any case
_CANNOT_READ = (ImageFileError, HeaderDataError, OSError, EOFError, ValueError, zlib.error)


@dataclass(frozen=True)
class ImageFacts:
    """What the header of a sound image says.

    Attributes
    ----------
    path : str
    shape : tuple of int
        Three axes, or four.
    affine : ndarray of shape (4, 4)
        Voxel to scanner, in millimetres.
    header_time : float
        Time between volumes in seconds as the header has it, 0 where it has none.
    time_unit : str
        ``sec``, ``msec``, ``usec``, or ``unknown``, where seconds are assumed.
    """

    path: str
    shape: tuple[int, ...]
    affine: np.ndarray
    header_time: float
    time_unit: str

    @property
    def grid(self) -> str:
        """Size in words, such as ``64 × 64 × 36 voxels of 3 × 3 × 3.5 mm``."""
        sizes = (f"{size:.3g}" for size in nib.affines.voxel_sizes(self.affine))
        return f"{' × '.join(map(str, self.shape[:3]))} voxels of {' × '.join(sizes)} mm"


def examine_image(path: str | Path, n_axes: int, participant: str, *, whole: bool = True) -> ImageFacts:
    """Read an image to its end and check its values, or its header alone.

    Parameters
    ----------
    path : path
        NIfTI image, compressed or not.
    n_axes : int
        4 for a series, 3 for a single volume.
    participant : str
        Whose image it is, for messages.
    whole : bool
        Whether the values are read, not only the header.

    Returns
    -------
    ImageFacts

    Raises
    ------
    ParticipantError
        If the image is missing, cannot be read to its end, has other axes, holds NaN or infinite values, or zeros only,
        or if its header places it in two ways.
    """

    def fault(reason: str) -> ParticipantError:
        return ParticipantError(reason, participant=participant, file=path)

    if not Path(path).is_file():  # a pipe or a device would never end
        raise fault("is missing, or a link whose content was not fetched (datalad get); fetch or restore it")
    try:
        image = nib.load(path)
        if not isinstance(image, nib.Nifti1Image):  # NIfTI-2 is one too; CIFTI has the same ending, and no voxels
            raise fault(f"is not a NIfTI image of voxels ({type(image).__name__}); convert it, or leave the run out")
        shape = tuple(int(size) for size in image.shape)
        while len(shape) > n_axes and shape[-1] == 1:
            shape = shape[:-1]
        if len(shape) != n_axes:
            raise fault(
                f"is {len(shape)}-D with shape {shape}, but {n_axes}-D is expected "
                f"({'a series of volumes' if n_axes == 4 else 'one volume'}); is it another kind of image?"
            )
        bad, empty = _examine_volumes(image, str(path), shape, fault) if whole else ([], False)
    except _CANNOT_READ as error:
        raise_machine_fault(error, path)
        raise fault(
            f"cannot be read to its end, it is truncated or damaged ({error}); copy or convert it again"
        ) from error
    if bad:
        which = "" if n_axes == 3 else f" in volume{'s' * (len(bad) > 1)} {_listed(bad)} of {shape[3]}"
        raise fault(f"holds NaN or infinite values{which}; convert it again or leave the run out")
    if empty:
        raise fault("holds only zeros; convert it again or leave the run out")
    _require_one_orientation(image, shape, fault)
    # nibabel's get_xyzt_units raises KeyError where either unit has a code that NIfTI does not define
    unit, seconds = _TIME_UNITS.get(int(image.header["xyzt_units"]) & _TIME_BITS, _TIME_UNITS[0])
    time = float(image.header["pixdim"][4]) * seconds if n_axes == 4 else 0.0
    return ImageFacts(str(path), shape, image.affine, time, unit)


def _require_one_orientation(image: Any, shape: tuple[int, ...], fault: Any) -> None:
    """Refuse a header whose sform and qform, both from the scanner, put a corner of the image in two places."""
    sform, sform_code = image.get_sform(coded=True)
    qform, qform_code = image.get_qform(coded=True)
    if not sform_code == qform_code == _SCANNER:
        return  # one of them leads elsewhere on purpose, or is not set
    corners = np.array(list(product(*((0, size - 1) for size in shape[:3]))))
    apart = np.linalg.norm(corners @ (sform - qform)[:3, :3].T + (sform - qform)[:3, 3], axis=1).max()
    if apart > 0.5 * np.linalg.norm(sform[:3, :3], axis=0).min():
        raise fault(
            f"has a header whose sform and qform disagree by up to {apart:.1f} mm, so that left and right may be "
            "exchanged; find out which one is right and copy it over the other (nibabel: set_sform, set_qform)"
        )


def settle_repetition_time(facts: ImageFacts, metadata: Mapping[str, Any], participant: str) -> float:
    """Return the repetition time that sidecar and header agree on.

    A header that says 1 in no unit says nothing: nibabel and nilearn leave it so in images that they make.

    Parameters
    ----------
    facts : ImageFacts
        The series.
    metadata : mapping
        Its sidecar, with what it inherits.
    participant : str
        Whose series it is.

    Returns
    -------
    float
        In seconds.

    Raises
    ------
    ParticipantError
        If neither gives a time, if they are at odds, or if volumes are at times of their own (``VolumeTiming``).
    """

    def fault(reason: str) -> ParticipantError:
        return ParticipantError(reason, participant=participant, file=facts.path)

    if metadata.get("VolumeTiming") is not None:
        raise fault(
            "has VolumeTiming in its JSON sidecar: volumes that were taken at times of their own have no repetition "
            "time, which all that follows needs; if they are evenly spaced, write RepetitionTime instead, else leave "
            "the run out"
        )
    header = facts.header_time if math.isfinite(facts.header_time) and facts.header_time > 0 else 0.0
    filler = header == 1.0 and facts.time_unit == "unknown"
    stated = metadata.get("RepetitionTime")
    if stated is None:
        if not header or filler:
            unsaid = " (it is 1 without unit, as software writes it that does not know the time)" if filler else ""
            raise fault(
                "has no repetition time: neither RepetitionTime in its JSON sidecar nor pixdim[4] in its header"
                f"{unsaid}; add RepetitionTime in seconds to the sidecar"
            )
        return round(header, 6)
    if isinstance(stated, bool) or not isinstance(stated, int | float) or not math.isfinite(stated) or stated <= 0:
        raise fault(f"RepetitionTime in the JSON sidecar is {stated!r}; a number of seconds is expected")
    if filler:
        return float(stated)
    possible = [header] if facts.time_unit != "unknown" else [header, header / 1000]
    if header and not any(math.isclose(stated, time, rel_tol=1e-3) for time in possible):
        raise fault(
            f"RepetitionTime is {stated:g} s in the JSON sidecar, but the header says {header:g} s (pixdim[4], unit "
            f"{facts.time_unit}); correct the one that is wrong (RepetitionTime is in seconds, not milliseconds)"
        )
    return float(stated)


def require_length(n_volumes: int, min_volumes: int, participant: str, file: str) -> None:
    """Refuse a series that is too short to be analysed.

    Raises
    ------
    ParticipantError
        If it has fewer than `min_volumes`.
    """
    if n_volumes < min_volumes:
        raise ParticipantError(
            f"has {n_volumes} volumes, but cohort.min_volumes asks for {min_volumes}; lower it or leave the run out",
            participant=participant,
            file=file,
        )


def _examine_volumes(image: Any, path: str, shape: tuple[int, ...], fault: Any) -> tuple[list[int], bool]:
    """Say which volumes (counted from 1) are not finite, and whether all of them are zero."""
    dtype = image.header.get_data_dtype()
    if dtype.kind not in "iuf":
        raise fault(f"has voxels of type {dtype}; numbers are expected")
    require_image_size(path, image.dataobj.offset, shape, dtype.itemsize, fault)
    bad, empty = [], True
    for number, volume in enumerate(_stream(path, image.dataobj.offset, shape, dtype), start=1):
        if dtype.kind == "f" and not np.isfinite(volume).all():
            bad.append(number)
        empty = empty and not volume.any()
    return bad, empty


def _stream(path: str, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Iterator[np.ndarray]:
    """Give the volumes one by one; reading beyond the last lets gzip compare its checksum.

    Data that go on for longer than the image itself are not waited for: a small file can unfold for hours.
    """
    n_volumes = shape[3] if len(shape) == 4 else 1
    n_bytes = math.prod(shape[:3]) * dtype.itemsize
    with gzip.open(path) if path.endswith(".gz") else Path(path).open("rb") as stream:
        stream.read(offset)
        for number in range(1, n_volumes + 1):
            block = stream.read(n_bytes)
            if len(block) < n_bytes:
                raise EOFError(f"the data end within volume {number} of {n_volumes}")
            yield np.frombuffer(block, dtype)
        surplus = 0
        while block := stream.read(1 << 20):
            surplus += len(block)
            if surplus > max(n_volumes * n_bytes, _SURPLUS):
                raise ValueError("the data go on beyond what the header claims")


def _listed(numbers: list[int], most: int = 5) -> str:
    text = ", ".join(map(str, numbers[:most]))
    return text if len(numbers) <= most else f"{text} and {len(numbers) - most} more"
