"""What the recorder gives of wide layers with ``spectrum="leading"``, beside all singular values."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

from gradspec import SpectraRecorder
from gradspec.capture import CaptureError, per_group_mean
from gradspec.errors import ConfigError
from gradspec.spectra.file import open_spectra

COUNT = 2


def build() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(24, 40), nn.Tanh(), nn.Linear(40, 30), nn.Tanh(), nn.Linear(30, 3))


def train(model: nn.Module, recorder: SpectraRecorder, n_steps: int = 4, n_samples: int = 12, times: int = 9) -> None:
    generator = torch.Generator().manual_seed(1)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(n_steps):
        group = torch.arange(n_samples) % 2
        x = torch.randn(n_samples, times, 24, generator=generator) + group[:, None, None]
        with recorder.step(group) as step:
            loss = nn.functional.cross_entropy(model(x).mean(1), group)
            loss.backward()
            step.record(loss=loss)
        optimizer.step()
        optimizer.zero_grad()


def record(times: int = 9, **options: Any) -> xr.DataTree:
    model = build()
    recorder = SpectraRecorder(model, ["control", "patient"], **options)
    train(model, recorder, times=times)
    return recorder.spectra()


@pytest.mark.parametrize("times", [9, 1], ids=["parameter side", "sample side"])
def test_leading_values_lie_within_their_bounds_of_all(times: int) -> None:
    every, leading = record(times), record(times, spectrum="leading", leading=COUNT)
    for name in ("0.weight", "2.weight"):
        exact, found = every[name]["gradient"], leading[name]
        assert found["gradient"].shape == (4, 3, COUNT)
        scale = exact.isel(index=[0])
        assert (abs(found["gradient"] - exact[..., :COUNT]) <= found["gradient_bound"] + 1e-6 * scale.values).all()
        assert (found["gradient_bound"] <= 1e-3 * scale.values).all()
        np.testing.assert_allclose(found["gradient_norm"], np.sqrt(np.square(exact).sum("index")), rtol=1e-6)
        assert (found["gradient_bound"] == 0).all() == (times == 1)
    narrow = leading["4.weight"]
    assert "gradient_bound" not in narrow
    xr.testing.assert_equal(narrow["gradient"], every["4.weight"]["gradient"])
    assert leading.attrs["spectrum"] == "leading, 2 leading"


def test_a_group_without_samples_and_one_of_low_rank_have_no_more_values_than_they_can() -> None:
    model = build()
    recorder = SpectraRecorder(model, ["control", "patient", "nobody"], spectrum="leading", leading=COUNT)
    group = torch.tensor([0] + [1] * 59)
    with recorder.step(group):
        model(torch.randn(60, 24)).square().sum().backward()
    found = recorder.spectra()["0.weight"]

    assert np.isfinite(found["gradient"].values[0]).sum(-1).tolist() == [1, 2, 0, 2]
    assert np.isfinite(found["gradient_bound"].values[0]).sum(-1).tolist() == [1, 2, 0, 2]
    assert np.isfinite(found["gradient_norm"].values[0]).tolist() == [True, True, False, True]


def test_training_is_the_same() -> None:
    weights = []
    for spectrum in ("exact", "leading"):
        model = build()
        train(model, SpectraRecorder(model, ["control", "patient"], spectrum=spectrum, leading=COUNT))
        weights.append(torch.cat([parameter.detach().flatten() for parameter in model.parameters()]))
    assert torch.equal(*weights)


def test_a_file_carries_the_bounds_and_goes_on_as_if_never_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "spectra.nc"
    options: dict[str, Any] = {"path": path, "flush_every": 1, "spectrum": "leading", "leading": COUNT}
    model = build()
    with SpectraRecorder(model, ["control", "patient"], **options) as recorder:
        train(model, recorder)
    whole = xr.load_datatree(path, engine="h5netcdf")

    with SpectraRecorder(build(), ["control", "patient"], **options, resume=2) as recorder:
        pass
    model = build()
    train(model, SpectraRecorder(model, ["control", "patient"]), n_steps=2)
    with SpectraRecorder(model, ["control", "patient"], **options, resume=True) as recorder:
        train(model, recorder, n_steps=2)
    again = xr.load_datatree(path, engine="h5netcdf")
    assert again["0.weight"]["gradient_norm"].dims == ("step", "group")
    assert again["step"].values.tolist() == whole["step"].values.tolist()
    xr.testing.assert_equal(again["0.weight"].isel(step=[0, 1]), whole["0.weight"].isel(step=[0, 1]))
    assert again["0.weight"]["gradient_bound"].notnull().all()

    with pytest.raises(CaptureError, match="other spectra: leading, 2 leading, but the recorder has exact"):
        SpectraRecorder(build(), ["control", "patient"], path=path, resume=True)


def test_a_loss_scale_is_taken_out_of_bounds_and_norms() -> None:
    class Scaler:
        def get_scale(self) -> float:
            return 1024.0

    found = []
    for scale, options in ((1.0, {}), (1024.0, {"scaler": Scaler()})):
        model = build()
        recorder = SpectraRecorder(model, ["control", "patient"], spectrum="leading", leading=COUNT, **options)
        x, group = torch.randn(12, 9, 24, generator=torch.Generator().manual_seed(2)), torch.arange(12) % 2
        with recorder.step(group):
            (scale * model(x).square().mean()).backward()
        found.append(recorder.spectra()["0.weight"].to_dataset())
    xr.testing.assert_allclose(*found, rtol=1e-5)


def test_a_gradient_that_is_not_finite_leaves_the_step_unknown() -> None:
    model = build()
    recorder = SpectraRecorder(model, ["control", "patient"], spectrum="leading", leading=COUNT)
    x = torch.randn(12, 9, 24)
    x[1, 0, 0] = math.inf
    with recorder.step(torch.arange(12) % 2):
        model(x).square().mean().backward()
    tree = recorder.spectra()
    assert not tree["finite"].item()
    assert np.isnan(tree["0.weight"]["gradient_norm"].values[0, 1:]).all()


def test_live_scalars_have_no_effective_rank_of_a_part_of_the_values() -> None:
    sent: dict[str, float] = {}

    class Writer:
        def add_scalar(self, tag: str, scalar_value: float, global_step: int | None = None) -> None:
            sent[tag] = scalar_value

    record(spectrum="leading", leading=COUNT, writer=Writer())
    leading = dict(sent)
    sent.clear()
    record(writer=Writer())

    assert set(sent) - set(leading) == {
        f"effective_rank/{layer}/weight/{group}" for layer in (0, 2) for group in ("control", "patient", "pooled")
    }
    for tag in leading:
        assert leading[tag] == pytest.approx(sent[tag], rel=1e-3)


def test_means_of_groups_scale_bounds_and_norms_with_the_values() -> None:
    spectra = record(spectrum="leading", leading=COUNT)
    means = per_group_mean(spectra)
    for name in ("gradient", "gradient_bound", "gradient_norm"):
        ratio = means["0.weight"][name] / spectra["0.weight"][name]
        np.testing.assert_allclose(ratio.isel(group=0), 2)
        np.testing.assert_allclose(ratio.isel(group=2), 1)


def test_tables_and_figures_refuse_a_file_of_a_part_of_the_values(tmp_path: Path) -> None:
    spectra = record(spectrum="leading", leading=COUNT)
    spectra.attrs |= {"model": "mlp", "loss_reduction": "mean"}
    spectra.to_netcdf(tmp_path / "spectra.nc", engine="h5netcdf")
    with pytest.raises(ConfigError, match=r"layer 0\.weight has leading singular values only"):
        open_spectra(tmp_path / "spectra.nc")


def test_the_report_says_which_weights_have_leading_values() -> None:
    recorder = SpectraRecorder(build(), ["control", "patient"], spectrum="leading", leading=COUNT)
    notes = {row.parameter: row.note for row in recorder.report()}
    assert "2 leading values" in notes["0.weight"]
    assert "leading" not in notes["4.weight"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spectrum": "some"}, r"spectrum must be one of \['exact', 'leading', 'auto'\], not 'some'"),
        ({"spectrum": "leading", "leading": 0}, "leading must be at least 1, not 0"),
        ({"spectrum": "auto", "kinds": ["delta"]}, "spectrum='auto' is of gradients"),
    ],
)
def test_wrong_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(CaptureError, match=message):
        SpectraRecorder(build(), ["control", "patient"], **options)
