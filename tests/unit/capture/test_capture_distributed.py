"""Data-parallel training in two processes: spectra of a process's own batch, or of the averaged gradient of all."""

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from capture_cases import CASE
from capture_processes import (
    NAMES,
    STEPS,
    accumulate,
    batch_of,
    in_two_processes,
    lack_a_group_everywhere,
    train_all,
    train_and_compare,
)
from capture_reference import assert_step_equal, blocks, naive_gradients, naive_spectra, spectra_of
from torch import nn

from gradspec.capture import CaptureError, SpectraRecorder

MODELS = ["linear_wide", "linear_4d", "conv2d_groups", "lstm", "attention", "embedding_padded", "conv_vectors"]
PARAMETER_SIDE = {"sample side": 1e-7, "parameter side": 1e-7}


def open_spectra(path: Path) -> xr.DataTree:
    with xr.open_datatree(path, engine="h5netcdf") as tree:
        return tree.load()


def averaged(name: str, patterns: list[str]) -> dict[str, list[np.ndarray]]:
    """Spectra of the average over both processes of the summed gradients of some batches."""
    model = CASE[name].make()[0]
    of_ranks = []
    for rank in (0, 1):
        first, *more = (batch_of(name, pattern, rank) for pattern in patterns)
        gradients = naive_gradients(model, *first, len(NAMES), *more)
        of_ranks.append([blocks(model, of_group, CASE[name].extras) for of_group in gradients])
    return spectra_of(
        [{node: (own[node] + other[node]) / 2 for node in own} for own, other in zip(*of_ranks, strict=True)]
    )


def test_every_process_has_the_spectra_of_its_own_batch(tmp_path: Path) -> None:
    in_two_processes(tmp_path, train_all, MODELS, "own")
    for name in MODELS:
        for rank in (0, 1):
            spectra = open_spectra(tmp_path / f"{name}-{rank}.nc")
            for step, pattern in enumerate(STEPS):
                batch = batch_of(name, pattern, rank)
                expected = naive_spectra(CASE[name].make()[0], *batch, len(NAMES), CASE[name].extras)
                assert_step_equal(spectra, expected, step)


def test_all_processes_have_the_spectra_of_the_averaged_gradient(tmp_path: Path) -> None:
    in_two_processes(tmp_path, train_all, MODELS, "all")
    for name in MODELS:
        spectra, other = (open_spectra(tmp_path / f"{name}-{rank}.nc") for rank in (0, 1))
        xr.testing.assert_equal(spectra, other)
        assert spectra.attrs["processes"] == "all"
        for step, pattern in enumerate(STEPS):
            labels = np.concatenate([batch_of(name, pattern, rank)[2].numpy() for rank in (0, 1)])
            expected_n = [*((labels == label).sum() for label in (0, 1)), len(labels)]
            assert spectra["n"].values[step].tolist() == expected_n
            assert spectra["weight_sum"].values[step].tolist() == expected_n
            assert_step_equal(spectra, averaged(name, [pattern]), step, PARAMETER_SIDE)


def test_processes_may_take_different_routes_in_float32(tmp_path: Path) -> None:
    in_two_processes(tmp_path, train_all, ["linear_4d"], "all", torch.float32)
    spectra = open_spectra(tmp_path / "linear_4d-1.nc")
    for step, pattern in enumerate(STEPS):
        assert_step_equal(spectra, averaged("linear_4d", [pattern]), step, {"parameter side": 1e-5})


def test_gradients_are_those_of_training_without_the_recorder(tmp_path: Path) -> None:
    in_two_processes(tmp_path, train_and_compare, ["linear_wide", "linear_4d", "lstm", "embedding_sparse"])


def test_batches_accumulate_in_every_process_before_they_are_averaged(tmp_path: Path) -> None:
    in_two_processes(tmp_path, accumulate, "linear_wide")
    spectra = open_spectra(tmp_path / "linear_wide-0.nc")
    assert_step_equal(spectra, averaged("linear_wide", STEPS), 0, PARAMETER_SIDE)


def test_a_group_without_samples_and_one_that_overflows_are_nan_in_all_processes(tmp_path: Path) -> None:
    in_two_processes(tmp_path, lack_a_group_everywhere)
    for rank in (0, 1):
        spectra = open_spectra(tmp_path / f"odd-{rank}.nc")
        assert spectra["n"].values.tolist() == [[2, 2, 0, 4]]
        assert np.isfinite(spectra["weight"]["gradient"].values[0, :, 0]).tolist() == [True, False, False, False]
        assert spectra["finite"].values.tolist() == [False]


def test_all_processes_need_a_process_group() -> None:
    with pytest.raises(CaptureError, match="init_process_group"):
        SpectraRecorder(nn.Linear(3, 2), NAMES, processes="all")


def test_what_cannot_be_reduced_is_refused(tmp_path: Path) -> None:
    torch.distributed.init_process_group("gloo", f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    try:
        with pytest.raises(CaptureError, match="kinds"):
            SpectraRecorder(nn.Linear(3, 2), NAMES, processes="all", kinds=("gradient", "delta"))
        with pytest.raises(CaptureError, match="own clock"):
            SpectraRecorder(nn.Linear(3, 2), NAMES, processes="all", every="auto")
        with pytest.raises(CaptureError, match="regroup"):
            SpectraRecorder(nn.Linear(3, 2), NAMES, processes="all", keep_grams=True)
    finally:
        torch.distributed.destroy_process_group()
