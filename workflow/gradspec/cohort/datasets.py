"""The two data sets that training starts from, in the shape that all sources share."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
    import xarray as xr


def timecourses_dataset(
    values: Float[np.ndarray, "participant time component"],
    participants: Sequence[str],
    runs: Sequence[str],
    components: Sequence[str],
    repetition_time: float,
) -> "xr.Dataset":
    """Put time courses into a data set.

    Parameters
    ----------
    values : ndarray of shape (participant, time, component)
        Time courses, in arbitrary units.
    participants, runs : sequence of str
        Id and label of each row; a participant with several runs has several rows.
    components : sequence of str
        Names of the regions.
    repetition_time : float
        Time between volumes, in seconds.

    Returns
    -------
    Dataset
        Variable ``timecourses``.
    """
    import xarray as xr

    return xr.Dataset(
        {
            "timecourses": (
                ("participant", "time", "component"),
                values.astype(np.float32, copy=False),
                {"long_name": "time courses of the regions", "units": "arbitrary"},
            )
        },
        coords={
            "participant": list(participants),
            "run": ("participant", list(runs)),
            "component": list(components),
            "time": ("time", np.arange(values.shape[1]) * repetition_time, {"units": "s"}),
        },
        attrs={"repetition_time": repetition_time, "units": "arbitrary"},
    )


def fnc_dataset(
    values: Float[np.ndarray, "participant component component"], participants: Sequence[str], components: Sequence[str]
) -> "xr.Dataset":
    """Put connectivity matrices into a data set.

    Parameters
    ----------
    values : ndarray of shape (participant, component, component)
        Symmetric, with a zero diagonal.
    participants : sequence of str
        Id of each matrix.
    components : sequence of str
        Names of the components.

    Returns
    -------
    Dataset
        Variable ``fnc``.
    """
    import xarray as xr

    return xr.Dataset(
        {
            "fnc": (
                ("participant", "component", "component_2"),
                values.astype(np.float32, copy=False),
                {"long_name": "functional network connectivity", "units": "Fisher z"},
            )
        },
        coords={
            "participant": list(participants),
            "run": ("participant", [""] * len(participants)),
            "component": list(components),
        },
    )


def features_dataset(
    values: Float[np.ndarray, "participant feature"], participants: Sequence[str], features: Sequence[str]
) -> "xr.Dataset":
    """Put feature vectors into a data set.

    Parameters
    ----------
    values : ndarray of shape (participant, feature)
        In units of their own.
    participants, features : sequence of str
        Id of each row, name of each column.

    Returns
    -------
    Dataset
        Variable ``features``.
    """
    import xarray as xr

    return xr.Dataset(
        {"features": (("participant", "feature"), values.astype(np.float32, copy=False), {"units": "arbitrary"})},
        coords={
            "participant": list(participants),
            "run": ("participant", [""] * len(participants)),
            "feature": list(features),
        },
    )


def numbered(what: str, count: int) -> list[str]:
    """Name things that have no names of their own: ``region-001`` and so on."""
    width = max(2, len(str(count)))
    return [f"{what}-{index + 1:0{width}d}" for index in range(count)]
