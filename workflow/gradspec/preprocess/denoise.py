"""Denoising: which confounds a strategy takes out, and the one least-squares step that does it.

Confounds, trend and slow cosines are regressed out together, so that nothing that one of them removed is brought back
by another (Lindquist et al. 2019, Human Brain Mapping 40, 2358).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from gradspec.errors import ParticipantError
from gradspec.preprocess.compcor import N_COMPONENTS, cosine_basis
from gradspec.preprocess.confounds import MOTION_COLUMNS

_EXPANSIONS = ("", "_derivative1", "_power2", "_derivative1_power2")
GRAND_MEAN = 100.0
"""Median over the brain of the mean signal after scaling: changes are in percent of it."""
_BLOCK = 8192  # voxels that are denoised at once


def select_confounds(table: pd.DataFrame, strategy: str, scrub: bool) -> list[str]:
    """Names of the columns that a strategy regresses out.

    Parameters
    ----------
    table : DataFrame
        Confounds of a run, in fMRIPrep's columns.
    strategy : {"none", "simple", "24P+aCompCor"}
        ``simple``: six motion parameters, csf, white matter. ``24P+aCompCor``: motion with derivatives and squares,
        five anatomical components, and the cosines that were removed before these.
    scrub : bool
        Also take the motion outliers: a volume with a column of its own has no influence any more. Dummy scans are
        taken by every strategy but ``none``.

    Returns
    -------
    list of str

    Raises
    ------
    ParticipantError
        Naming the columns that the table lacks.
    """
    wanted = {
        "none": [],
        "simple": [*MOTION_COLUMNS, "csf", "white_matter"],
        "24P+aCompCor": [
            *(f"{name}{expansion}" for name in MOTION_COLUMNS for expansion in _EXPANSIONS),
            *(f"a_comp_cor_{index:02d}" for index in range(N_COMPONENTS)),
        ],
    }[strategy]
    if missing := [name for name in wanted if name not in table]:
        raise ParticipantError(
            f"the confounds table lacks {', '.join(missing)}, which the denoising strategy {strategy!r} needs; "
            "make them, or choose another preprocess.denoise.strategy"
        )
    if has_own_cosines(strategy):
        wanted = wanted + [name for name in table if name.startswith("cosine")]
    marked = [*(["motion_outlier"] if scrub else []), *(["non_steady_state_outlier"] if strategy != "none" else [])]
    return wanted + [name for name in table if name.startswith(tuple(marked))]


def has_own_cosines(strategy: str) -> bool:
    """Whether the cosines of the confounds table serve as the high-pass filter."""
    return strategy == "24P+aCompCor"


def make_design(
    table: pd.DataFrame | None, settings: Mapping[str, Any], n_volumes: int, repetition_time: float
) -> tuple[Float[np.ndarray, "time regressor"], list[str]]:
    """Everything that is regressed out of a run, except the constant.

    Parameters
    ----------
    table : DataFrame or None
        Confounds of the run; None is enough for the strategy ``none`` without scrubbing.
    settings : mapping
        The section ``preprocess.denoise`` of the configuration.
    n_volumes : int
        Length of the run.
    repetition_time : float
        In seconds.

    Returns
    -------
    design : array, shape (time, regressor)
        Confounds (missing values, which differences have in the first row, become 0), a linear trend, and cosines
        below ``high_pass``; without columns where all of them are switched off.
    names : list of str
        Of its columns.

    Raises
    ------
    ParticipantError
        If columns are missing, or the table has another length than the run.
    """
    strategy, scrub, high_pass = settings["strategy"], settings["scrub"], settings["high_pass"]
    names: list[str] = []
    parts = [np.empty((n_volumes, 0))]
    if strategy != "none" or scrub:
        if table is None:
            raise ParticipantError(f"the run has no confounds table, which the denoising strategy {strategy!r} needs")
        if len(table) != n_volumes:
            raise ParticipantError(f"the confounds table has {len(table)} rows, but the run has {n_volumes} volumes")
        names = select_confounds(table, strategy, scrub)
        parts.append(table[names].astype(float).fillna(0.0).to_numpy())
    if settings["linear_trend"]:
        names = [*names, "linear_trend"]
        parts.append(np.linspace(-1, 1, n_volumes)[:, np.newaxis])
    if high_pass is not None and not has_own_cosines(strategy):
        cosines = cosine_basis(n_volumes, repetition_time, high_pass)
        names = [*names, *(f"high_pass_{index:02d}" for index in range(cosines.shape[1]))]
        parts.append(cosines)
    return np.column_stack(parts), names


def regress_out(
    signals: Float[np.ndarray, "time voxel"], design: Float[np.ndarray, "time regressor"], min_degrees_of_freedom: int
) -> tuple[Float[np.ndarray, "time voxel"], int]:
    """Remove what the design explains, and keep the mean.

    Parameters
    ----------
    signals : array, shape (time, voxel)
        The run; it is overwritten, since a run is large.
    design : array, shape (time, regressor)
        What is removed; it need not have full rank.
    min_degrees_of_freedom : int
        Least number of volumes minus rank (constant included) that is accepted.

    Returns
    -------
    signals : array, shape (time, voxel)
        The residuals plus the mean of each voxel.
    degrees_of_freedom : int
        Volumes minus rank of design and constant.

    Raises
    ------
    ParticipantError
        If fewer degrees of freedom are left than asked for.
    """
    n_volumes = len(signals)
    centred = design - design.mean(axis=0)
    scale = np.linalg.norm(centred, axis=0)
    centred = centred[:, scale > 0] / scale[scale > 0]
    basis, singular_values, _ = np.linalg.svd(centred, full_matrices=False)
    basis = basis[:, singular_values > 1e-8 * max(1.0, singular_values.max(initial=0.0))]
    degrees_of_freedom = n_volumes - 1 - basis.shape[1]
    if degrees_of_freedom < min_degrees_of_freedom:
        raise ParticipantError(
            f"denoising leaves {degrees_of_freedom} degrees of freedom ({n_volumes} volumes minus "
            f"{basis.shape[1] + 1} independent regressors), fewer than the {min_degrees_of_freedom} of "
            "preprocess.denoise.min_degrees_of_freedom; use a smaller strategy, no scrubbing, or longer runs"
        )
    # The basis has mean zero, so the mean of each voxel stays.
    orthonormal = basis.astype(signals.dtype)
    for first in range(0, signals.shape[1], _BLOCK):  # blocks: no second copy of the run
        part = signals[:, first : first + _BLOCK]
        part -= orthonormal @ (orthonormal.T @ (part - part.mean(axis=0)))
    return signals, degrees_of_freedom


def scale_to_grand_mean(signals: Float[np.ndarray, "time voxel"]) -> Float[np.ndarray, "time voxel"]:
    """Scale a run, in place, so that the median over voxels of its mean is `GRAND_MEAN`.

    Raises
    ------
    ParticipantError
        If the median is not positive, as in data whose mean was removed.
    """
    median = float(np.median(signals.mean(axis=0)))
    if median <= 0:
        raise ParticipantError(
            f"the median signal of the brain is {median:g}, expected a positive one: the mean was removed already; "
            "switch the scaling off (preprocess.intensity: none), or keep the mean"
        )
    signals *= GRAND_MEAN / median
    return signals
