"""Denoising: which confounds a strategy takes out, and the one least-squares step that does it.

Confounds, trend and slow cosines are regressed out together, so that nothing that one of them removed is brought back
by another (Lindquist et al. 2019, Human Brain Mapping 40, 2358).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from gradspec.errors import ParticipantError
from gradspec.preprocess.compcor import cosine_basis
from gradspec.preprocess.regressors import choose_acompcor, has_components, require_values, select_confounds

GRAND_MEAN = 100.0
"""Median over the brain of the mean signal after scaling: changes are in percent of it."""
_BLOCK = 8192  # voxels that are denoised at once
_SAME = 0.03  # share of a cosine's length, beyond the cosines of the table, from which on it is another one


@dataclass(frozen=True)
class Design:
    """Everything that is regressed out of a run, except the constant.

    Attributes
    ----------
    matrix : array, shape (time, regressor)
        Without columns where everything is switched off.
    names : list of str
        Of its columns: those of the confounds table, ``linear_trend``, and ``high_pass_00`` and so on.
    n_components : int
        How many of them are components of aCompCor.
    n_cosines : int
        How many are cosines of the confounds table.
    n_own_cosines : int
        How many are cosines that are made here.
    notes : list of str
        What is worth knowing of how columns were chosen.
    """

    matrix: Float[np.ndarray, "time regressor"]
    names: list[str]
    n_components: int = 0
    n_cosines: int = 0
    n_own_cosines: int = 0
    notes: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """How many columns there are of each kind, keyed as in `gradspec.preprocess.quality.QUALITY_COLUMNS`."""
        return {
            "n_confounds": len(self.names),
            "n_components": self.n_components,
            "n_cosines": self.n_cosines,
            "n_own_cosines": self.n_own_cosines,
        }

    @property
    def high_pass_basis(self) -> str | None:
        """What took slow drifts out, in words; None if nothing did."""
        parts = [f"{self.n_cosines} of the confounds table"] if self.n_cosines else []
        parts += [f"{self.n_own_cosines} made for the run"] if self.n_own_cosines else []
        return f"discrete cosines: {' and '.join(parts)}" if parts else None


def make_design(
    table: pd.DataFrame | None,
    settings: Mapping[str, Any],
    n_volumes: int,
    repetition_time: float,
    metadata: Mapping[str, Any] | None = None,
    file_name: str = "",
) -> Design:
    """Put everything together that is regressed out of a run.

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
    metadata : mapping, optional
        JSON sidecar of the table.
    file_name : str
        Name of the table.

    Returns
    -------
    Design
        Confounds (the first row of a difference becomes 0), a linear trend, and every cosine up to ``high_pass``: of
        those that the components of aCompCor were made without, which the table brings, and others the missing ones
        are added. They span the volumes after the dummy scans, as fMRIPrep's.

    Raises
    ------
    ParticipantError
        If columns or values are missing, or the table has another length than the run.
    """
    strategy, scrub, high_pass = settings["strategy"], settings["scrub"], settings["high_pass"]
    names: list[str] = []
    notes: list[str] = []
    components: list[str] = []
    values = np.empty((n_volumes, 0))
    if strategy != "none" or scrub:
        table = _require_table(table, n_volumes, "preprocess.denoise.scrub" if strategy == "none" else strategy)
        names = select_confounds(table, strategy, scrub)
        if has_components(strategy):
            components, note = choose_acompcor(table, metadata or {}, file_name)
            names, notes = [*names, *components], [note] if note else []
        values = require_values(table, names)
    theirs = values[:, [name.startswith("cosine") for name in names]]
    parts = [values]
    if settings["linear_trend"]:
        names = [*names, "linear_trend"]
        parts.append(np.linspace(-1, 1, n_volumes)[:, np.newaxis])
    ours: list[str] = []
    if high_pass is not None:
        n_dummies = sum(name.startswith("non_steady_state_outlier") for name in names)
        cosines = np.zeros((n_volumes, 0))
        if n_volumes > n_dummies:
            steady = cosine_basis(n_volumes - n_dummies, repetition_time, high_pass)
            cosines = np.vstack([np.zeros((n_dummies, steady.shape[1])), steady])
        new = _find_new(cosines, theirs)
        ours = [f"high_pass_{index:02d}" for index in new]
        names = [*names, *ours]
        parts.append(cosines[:, new])
    if has_components(strategy) and not theirs.shape[1]:
        notes.append(
            "the confounds table has no cosines: "
            + ("no high-pass filter" if high_pass is None else f"all up to {high_pass:g} Hz are made for the run")
        )
    return Design(np.column_stack(parts), names, len(components), theirs.shape[1], len(ours), tuple(notes))


def _require_table(table: pd.DataFrame | None, n_volumes: int, needed_by: str) -> pd.DataFrame:
    if table is None:
        raise ParticipantError(
            f"the run has no confounds beside it, which {needed_by!r} needs; put them there, or switch denoising by "
            "confounds off (preprocess.denoise: {strategy: none, scrub: false})"
        )
    if len(table) != n_volumes:
        raise ParticipantError(f"the confounds table has {len(table)} rows, but the run has {n_volumes} volumes")
    return table


def _find_new(cosines: Float[np.ndarray, "time cosine"], theirs: Float[np.ndarray, "time other"]) -> list[int]:
    """Numbers of the cosines that others do not span."""
    if not theirs.shape[1]:
        return list(range(cosines.shape[1]))
    left = cosines - theirs @ np.linalg.lstsq(theirs, cosines, rcond=None)[0]
    return [int(index) for index in np.flatnonzero(np.linalg.norm(left, axis=0) > _SAME)]


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
