"""The file that takes spectra while training runs: equal to memory, whole at every moment, gone on with later."""

import random
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import xarray as xr
from capture_cases import CASE
from capture_killed import MOMENTS, NAMES, run, train
from torch import nn

from gradspec.capture import CaptureError, SpectraRecorder

GROUP = torch.tensor([0, 1, -1, 1, 1, 0, 1])
# Sizes of the batches of seven steps, over which the spectra grow wider and narrower.
SIZES = (2, 1, 5, 3, 7, 7, 4)


def record(name: str, n_steps: int = len(SIZES), n_flushes: int = 0, **options: object) -> SpectraRecorder:
    model, x, y = CASE[name].make()
    recorder = SpectraRecorder(model, NAMES, extras=CASE[name].extras, **options)
    for step, size in enumerate(SIZES[:n_steps]):
        with recorder.step(GROUP[:size], epoch=step // 3) as opened:
            F.cross_entropy(model(x[:size] * (1 + step)), y[:size]).backward()
            if step != 3:
                opened.record(loss=float(step), group_loss=[0.5, step])
        if n_flushes and step % n_flushes == 0:
            recorder.flush()
    return recorder


def open_file(path: Path) -> xr.DataTree:
    with xr.open_datatree(path, engine="h5netcdf") as tree:
        return tree.load()


def assert_same(actual: xr.DataTree, expected: xr.DataTree) -> None:
    """Identical but for rounding, which depends on what is solved together."""
    xr.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-7)
    for node in expected.subtree:
        attrs = {name: np.asarray(value).tolist() for name, value in actual[node.path].attrs.items()}
        assert attrs == node.attrs
        for name, variable in node.data_vars.items():
            assert actual[node.path][name].dtype == variable.dtype, name


@pytest.mark.parametrize(
    ("name", "n_flushes"),
    [
        *(("linear_wide", n_flushes) for n_flushes in (0, 1, 2, 3)),
        *((name, 2) for name in ("linear_4d", "attention", "conv2d_groups", "lstm", "embedding_padded")),
    ],
)
def test_the_file_holds_what_memory_would(name: str, n_flushes: int, tmp_path: Path) -> None:
    kinds = ("gradient", "activation", "delta")
    expected = record(name, kinds=kinds).spectra()
    path = tmp_path / "deep" / "spectra.nc"
    recorder = record(name, kinds=kinds, n_flushes=n_flushes, path=path)
    recorder.detach()
    assert_same(open_file(path), expected)
    assert_same(recorder.spectra(), expected)
    assert [file.name for file in path.parent.iterdir()] == ["spectra.nc"]


def test_spectra_before_the_first_step_are_empty_and_make_no_file(tmp_path: Path) -> None:
    path = tmp_path / "spectra.nc"
    recorder = record("linear_wide", n_steps=0, path=path)
    assert_same(recorder.spectra(), record("linear_wide", n_steps=0).spectra())
    recorder.detach()
    assert not path.exists()


def test_the_file_can_be_read_while_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "spectra.nc"
    expected = record("linear_wide").spectra()
    model, x, y = CASE["linear_wide"].make()
    recorder = SpectraRecorder(model, NAMES, path=path, flush_every=1)
    for step, size in enumerate(SIZES):
        with recorder.step(GROUP[:size]):
            F.cross_entropy(model(x[:size] * (1 + step)), y[:size]).backward()
        recorder.flush()
        with xr.open_datatree(path, engine="h5netcdf") as tree:  # and be open while the next step is written
            values = tree["0.weight"]["gradient"].values
            assert values.shape[0] == step + 1
            whole = expected["0.weight"]["gradient"].values[: step + 1]
            np.testing.assert_allclose(values, whole[..., : values.shape[2]], rtol=1e-9, atol=1e-12)
            assert tree["finite"].dtype == bool


def test_what_is_not_finite_is_flagged_in_the_file(tmp_path: Path) -> None:
    model = nn.Linear(9, 8)
    with SpectraRecorder(model, NAMES, path=tmp_path / "spectra.nc") as recorder:
        for value in (1.0, torch.inf, 2.0):
            x = torch.ones(2, 9)
            x[1] *= value
            with recorder.step(torch.tensor([0, 1])):
                model(x).square().sum().backward()
            recorder.flush()
    spectra = open_file(tmp_path / "spectra.nc")
    assert spectra["finite"].values.tolist() == [True, False, True]
    assert np.isnan(spectra["weight"]["gradient"].values[1, 1:]).all()


def test_numbers_of_samples_do_not_matter_to_the_order_of_flushes(tmp_path: Path) -> None:
    """Steps wait until some are solved together, and are written in their order all the same."""
    recorder = record("linear_wide", path=tmp_path / "spectra.nc", flush_every=2, worker=True)
    assert recorder.spectra()["step"].values.tolist() == list(range(len(SIZES)))
    recorder.detach()


@pytest.mark.parametrize("first", [0, 1, 4])
def test_a_later_run_goes_on_in_the_file(first: int, tmp_path: Path) -> None:
    path = tmp_path / "spectra.nc"
    expected = record("linear_wide").spectra()
    record("linear_wide", n_steps=first, path=path).detach()
    model, x, y = CASE["linear_wide"].make()
    recorder = SpectraRecorder(model, NAMES, path=path, resume=True)
    for step, size in list(enumerate(SIZES))[first:]:
        with recorder.step(GROUP[:size], epoch=step // 3) as opened:
            assert opened.index == step
            F.cross_entropy(model(x[:size] * (1 + step)), y[:size]).backward()
            if step != 3:
                opened.record(loss=float(step), group_loss=[0.5, step])
    assert_same(recorder.spectra(), expected)


@pytest.mark.parametrize("step", [0, 2, 7, 9])
def test_a_run_that_goes_on_from_a_checkpoint_drops_what_came_after(step: int, tmp_path: Path) -> None:
    path = tmp_path / "spectra.nc"
    record("linear_wide", path=path, keep_grams=True).detach()
    model = CASE["linear_wide"].make()[0]
    recorder = SpectraRecorder(model, NAMES, path=path, keep_grams=True, resume=step)
    assert recorder.spectra()["step"].values.tolist() == list(range(min(step, len(SIZES))))
    kept = sorted(file.name for file in (tmp_path / "spectra.grams").iterdir())
    assert kept == [f"step-{index:010d}.npz" for index in range(min(step, len(SIZES)))]
    with recorder.step(GROUP) as opened:
        F.cross_entropy(model(torch.ones(7, 40, dtype=torch.float64)), torch.zeros(7, dtype=torch.long)).backward()
    assert opened.index == step
    assert recorder.spectra()["step"].values[-1] == step


def test_resuming_without_a_file_starts_one(tmp_path: Path) -> None:
    recorder = record("linear_wide", n_steps=2, path=tmp_path / "spectra.nc", resume=True)
    assert recorder.spectra()["step"].values.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": ["control", "other"]}, "other groups"),
        ({"groups": [*NAMES, "third"]}, "other groups"),
        ({"kinds": ("gradient", "delta")}, "other kinds"),
        ({"layers": ["0"]}, "other weights"),
    ],
)
def test_a_file_of_another_recorder_is_refused(options: dict[str, object], message: str, tmp_path: Path) -> None:
    path = tmp_path / "spectra.nc"
    record("linear_wide", n_steps=2, path=path).detach()
    before = path.read_bytes()
    model = CASE["linear_wide"].make()[0]
    with pytest.raises(CaptureError, match=message):
        SpectraRecorder(model, **{"groups": NAMES, "path": path, "resume": True, **options})
    assert path.read_bytes() == before
    SpectraRecorder(model, NAMES)


def test_a_file_is_not_overwritten_unasked(tmp_path: Path) -> None:
    path = tmp_path / "spectra.nc"
    path.write_text("precious")
    with pytest.raises(CaptureError, match="resume=True"):
        record("linear_wide", path=path)
    with pytest.raises(CaptureError, match="cannot be read as spectra"):
        record("linear_wide", path=path, resume=True)
    assert path.read_text() == "precious"


def test_a_folder_that_cannot_be_written_is_an_error_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CaptureError, match="cannot be written"):
        record("linear_wide", path=tmp_path / "file" / "spectra.nc")


@pytest.mark.parametrize(
    ("moment", "countdown", "flushed"),
    [("copy", 2, 4), ("write", 2, 2), ("replace", 9, 4), ("step", 5, 4), ("keep", 7, 6)],
)
def test_a_killed_run_leaves_every_step_up_to_its_last_flush_and_can_go_on(
    moment: str, countdown: int, flushed: int, tmp_path: Path
) -> None:
    path = tmp_path / "spectra.nc"
    assert run(path, moment, countdown) == -signal.SIGKILL
    n_steps = open_file(path).sizes["step"]
    assert n_steps == flushed
    train(path, 10, resume=True).detach()
    assert_finished(path)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_run_that_is_killed_again_and_again_ends_all_the_same(seed: int, tmp_path: Path) -> None:
    draw, path = random.Random(seed), tmp_path / "spectra.nc"
    statuses = [run(path, draw.choice(MOMENTS), draw.randint(1, 3)) for _ in range(8)]
    assert statuses.count(-signal.SIGKILL) >= 3
    train(path, 10, resume=True).detach()
    assert_finished(path)


def assert_finished(path: Path) -> None:
    """All ten steps are there, and nothing else is left."""
    spectra = open_file(path)
    assert_same(spectra, train(None, 10).spectra())
    assert sorted(file.name for file in path.parent.iterdir()) == ["spectra.grams", "spectra.nc"]
    assert [file.name for file in sorted((path.parent / "spectra.grams").iterdir())] == [
        f"step-{step:010d}.npz" for step in spectra["step"].values
    ]
