"""The Lightning callback records what a plain loop around the same batches records."""

import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
import xarray as xr
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.plugins import MixedPrecision
from running import ROOT
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from gradspec.capture import AttachedTwiceError, CaptureError, GroupError, SpectraRecorder, UnsupportedError
from gradspec.capture.lightning import SpectraCallback

NAMES = ["control", "patient"]
DRAW = torch.Generator().manual_seed(0)
X = torch.randn(20, 6, generator=DRAW)
Y = torch.randint(0, 3, (20,), generator=DRAW)
GROUP = torch.randint(-1, 2, (20,), generator=DRAW)
LOADER = DataLoader(TensorDataset(X, Y, GROUP, torch.arange(20)), batch_size=4)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        for message in (".*does not have many workers", ".*LeafSpec", ".*returned `None`", ".*exists and is not"):
            warnings.filterwarnings("ignore", message)
        yield


class Classifier(pl.LightningModule):
    """A small network whose training can be disturbed."""

    def __init__(self, optimizer: type[torch.optim.Optimizer] = torch.optim.SGD) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.network = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
        self.optimizer = optimizer

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor | None:
        return F.cross_entropy(self.network(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.optimizer(self.parameters(), lr=0.1)


def trainer(*callbacks: pl.Callback, **options: Any) -> pl.Trainer:
    return pl.Trainer(
        **{
            "accelerator": "cpu",
            "max_epochs": 2,
            "logger": False,
            "enable_checkpointing": any(isinstance(callback, ModelCheckpoint) for callback in callbacks),
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "callbacks": list(callbacks),
            **options,
        }
    )


def fit(
    callback: SpectraCallback, module: pl.LightningModule, loader: DataLoader = LOADER, **options: Any
) -> xr.DataTree:
    trainer(callback, **options).fit(module, loader)
    return callback.recorder.spectra()


def plain(module: Classifier, accumulate: int = 1, epochs: int = 2, low_precision: bool = False) -> xr.DataTree:
    """Spectra of a plain loop that trains the module as Lightning does."""
    recorder = SpectraRecorder(module, NAMES)
    optimizer = module.configure_optimizers()
    batches = list(LOADER)
    for epoch in range(epochs):
        for start in range(0, len(batches), accumulate):
            optimizer.zero_grad()
            with recorder.accumulate(epoch=epoch) as step:
                losses = []
                window = batches[start : start + accumulate]  # of which the last is shorter
                for x, y, group, _ in window:
                    with step.batch(group):
                        with torch.autocast("cpu", enabled=low_precision):
                            losses.append(F.cross_entropy(module.network(x), y))
                        (losses[-1] / len(window)).backward()
                step.record(loss=sum(losses) / len(window))
            for parameter in module.parameters():  # Lightning divides by the full number all the same
                parameter.grad *= len(window) / accumulate
            optimizer.step()
    return recorder.spectra()


@pytest.mark.parametrize("accumulate", [1, 2])
def test_spectra_losses_and_epochs_are_those_of_a_plain_loop(accumulate: int) -> None:
    recorded = fit(SpectraCallback(NAMES, group_of=2), module := Classifier(), accumulate_grad_batches=accumulate)
    expected = plain(plain_module := Classifier(), accumulate)
    xr.testing.assert_allclose(recorded, expected, rtol=1e-6)
    assert recorded.sizes["step"] == {1: 10, 2: 6}[accumulate]
    for ours, theirs in zip(module.parameters(), plain_module.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_training_is_as_without_the_callback() -> None:
    trainer().fit(alone := Classifier(), LOADER)
    fit(SpectraCallback(NAMES, group_of=2), watched := Classifier())
    for ours, theirs in zip(watched.parameters(), alone.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_gradients_are_recorded_before_they_are_clipped() -> None:
    recorded = fit(SpectraCallback(NAMES, group_of=2), Classifier(), gradient_clip_val=1e-6, max_epochs=1)
    first = plain(Classifier(), epochs=1)["network.0.weight"]["gradient"][0]
    xr.testing.assert_allclose(recorded["network.0.weight"]["gradient"][0], first, rtol=1e-6)


@pytest.mark.parametrize(
    ("collate", "place"),
    [
        (None, 2),
        (None, lambda batch: batch[2]),
        (lambda samples: dict(zip("xyg", map(torch.stack, zip(*samples, strict=True)), strict=False)), "g"),
    ],
    ids=["position", "callable", "key"],
)
def test_group_labels_are_found_where_the_batch_has_them(collate: Any, place: Any) -> None:
    class OfKeys(Classifier):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            return super().training_step((batch["x"], batch["y"]) if isinstance(batch, dict) else batch, batch_idx)

    loader = DataLoader(LOADER.dataset, batch_size=4, collate_fn=collate)
    recorded = fit(SpectraCallback(NAMES, group_of=place), OfKeys(), loader)
    xr.testing.assert_allclose(recorded, plain(Classifier()), rtol=1e-6)


@pytest.mark.parametrize("place", ["group", 9])
def test_a_batch_without_labels_is_an_error_that_leaves_the_model_as_it_was(place: Any) -> None:
    module = Classifier()
    with pytest.raises(GroupError, match=f"there is no {place!r} in what the data loader gives"):
        fit(SpectraCallback(NAMES, group_of=place), module)
    assert "forward" not in vars(module.network[0])
    SpectraRecorder(module, NAMES).detach()


def test_sample_numbers_serve_regrouping() -> None:
    callback = SpectraCallback(NAMES, group_of=2, samples_of=3, keep_grams=True)
    recorded = fit(callback, Classifier())
    regrouped = callback.recorder.regroup(GROUP)
    xr.testing.assert_allclose(
        regrouped["network.0.weight"]["gradient"], recorded["network.0.weight"]["gradient"], atol=1e-9
    )


def test_weights_of_samples_are_summed() -> None:
    recorded = fit(SpectraCallback(NAMES, group_of=2, weight_of=lambda batch: batch[3].float()), Classifier())
    assert recorded["weight_sum"].values[0, -1] == 0 + 1 + 2 + 3


def test_the_model_is_free_after_the_fit_and_may_be_fitted_again() -> None:
    callback, module = SpectraCallback(NAMES, group_of=2), Classifier()
    with pytest.raises(CaptureError, match="before training has started"):
        _ = callback.recorder
    for _ in range(2):
        assert fit(callback, module).sizes["step"] == 10
    SpectraRecorder(module, NAMES).detach()


def test_a_skipped_batch_leaves_its_step_out() -> None:
    class Skips(Classifier):
        def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor | None:
            return None if batch_idx == 2 else super().training_step(batch, batch_idx)

    steps = {
        accumulate: fit(SpectraCallback(NAMES, group_of=2), Skips(), accumulate_grad_batches=accumulate, max_epochs=1)
        for accumulate in (1, 2)
    }
    assert steps[1]["step"].values.tolist() == [0, 1, 3, 4]
    assert steps[2]["step"].values.tolist() == [0, 2]


def test_an_epoch_that_is_broken_off_leaves_the_model_as_it_was() -> None:
    class BreaksOff(Classifier):
        def on_train_batch_start(self, batch: Any, batch_idx: int) -> int | None:
            return -1 if batch_idx == 3 else None

        def on_train_epoch_end(self) -> None:
            assert "forward" not in vars(self.network[0])

    recorded = fit(SpectraCallback(NAMES, group_of=2), BreaksOff(), accumulate_grad_batches=2)
    assert recorded["step"].values.tolist() == [0, 2]
    assert recorded["epoch"].values.tolist() == [0, 1]


def test_validation_is_not_recorded() -> None:
    class Validates(Classifier):
        def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
            assert "forward" not in vars(self.network[0])
            self.network(batch[0][:1])

    callback = SpectraCallback(NAMES, group_of=2)
    trainer(callback, accumulate_grad_batches=3, val_check_interval=1).fit(Validates(), LOADER, LOADER)
    assert callback.recorder.spectra().sizes["step"] == 4


def test_a_closure_that_is_called_several_times_is_recorded_once_a_step() -> None:
    recorded = fit(SpectraCallback(NAMES, group_of=2), Classifier(torch.optim.LBFGS), max_epochs=1)
    assert recorded.sizes["step"] == 5
    first = plain(Classifier(), epochs=1)["network.0.weight"]["gradient"][0]
    xr.testing.assert_allclose(recorded["network.0.weight"]["gradient"][0], first, rtol=1e-6)


@pytest.mark.parametrize("options", [{}, {"every": 2}, {"worker": True}, {"every": "auto"}], ids=str)
def test_options_are_those_of_the_recorder(options: dict[str, Any]) -> None:
    recorded = fit(SpectraCallback(NAMES, group_of=2, **options), Classifier())
    assert recorded.attrs["every"] == options.get("every", 1)
    assert np.isfinite(recorded["loss"]).all()


def test_a_layer_without_a_gradient_is_nan() -> None:
    class Idle(Classifier):
        def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
            return self.network[2](torch.ones(len(batch[0]), 5)).sum()

    recorded = fit(SpectraCallback(NAMES, group_of=2), Idle())
    assert np.isnan(recorded["network.0.weight"]["gradient"]).all()
    assert np.isfinite(recorded["network.2.weight"]["gradient"].sel(group="pooled").values[:, 0]).all()


def test_two_callbacks_record_different_layers_of_one_training(tmp_path: Path) -> None:
    first = SpectraCallback(NAMES, group_of=2, layers=["network.0"])
    second = SpectraCallback(["a", "b"], group_of=lambda batch: batch[3] % 2, layers=["network.2"])
    checkpoint = ModelCheckpoint(tmp_path, save_last=True)
    trainer(first, second, checkpoint).fit(module := Classifier(), LOADER)
    assert set(first.recorder.spectra().children) == {"network.0.weight"}
    assert set(second.recorder.spectra().children) == {"network.2.weight"}
    alone = fit(SpectraCallback(NAMES, group_of=2, layers=["network.0"]), Classifier())
    xr.testing.assert_allclose(first.recorder.spectra(), alone)
    assert all(type(layer.forward).__name__ == "method" for layer in module.network)
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["gradspec"] == {0: 10, 1: 10}


@pytest.mark.parametrize("options", [{}, {"every": 2}], ids=["alike", "differing"])
def test_two_callbacks_for_the_same_layers_are_refused_and_leave_the_model_as_it_was(options: dict[str, Any]) -> None:
    module = Classifier()
    with pytest.raises(AttachedTwiceError, match=r"'network.0' .*give each layers of its own.*regroup\(labels\)"):
        trainer(SpectraCallback(NAMES, group_of=2), SpectraCallback(NAMES, group_of=2, **options)).fit(module, LOADER)
    assert not any("forward" in vars(layer) for layer in module.network)
    SpectraRecorder(module, NAMES).detach()


def test_each_of_two_callbacks_goes_on_in_its_own_file(tmp_path: Path) -> None:
    def make() -> list[pl.Callback]:
        return [
            *(
                SpectraCallback(
                    NAMES, group_of=2, layers=[f"network.{k}"], path=tmp_path / f"{k}.nc", resume=True, every=1 + k
                )
                for k in (0, 2)
            ),
            ModelCheckpoint(tmp_path, filename="last", enable_version_counter=False),
        ]

    trainer(*make(), max_epochs=1).fit(Classifier(), LOADER)
    callbacks = make()
    trainer(*callbacks, max_epochs=2).fit(Classifier(), LOADER, ckpt_path=tmp_path / "last.ckpt")
    recorded = [callback.recorder.spectra()["step"].values.tolist() for callback in callbacks[:2]]
    assert recorded == [list(range(10)), list(range(0, 10, 3))]


def test_optimising_by_hand_is_refused() -> None:
    module = Classifier()
    module.automatic_optimization = False
    with pytest.raises(UnsupportedError, match="Classifier optimises by hand"):
        fit(SpectraCallback(NAMES, group_of=2), module)


def test_the_definition_by_losses_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="a backward pass a group"):
        SpectraCallback(NAMES, group_of=2, definition="loss")


def test_mixed_precision_is_recorded_as_in_a_plain_loop() -> None:
    recorded = fit(SpectraCallback(NAMES, group_of=2), Classifier(), precision="bf16-mixed")
    xr.testing.assert_allclose(recorded, plain(Classifier(), low_precision=True), rtol=1e-5)


def test_a_scaled_loss_and_its_gradient_are_recorded_without_the_scale() -> None:
    class Float32(MixedPrecision):
        """Scales the loss as mixed precision does, and computes exactly."""

        def autocast_context_manager(self) -> Any:
            return torch.autocast("cpu", enabled=False)

    plugin = Float32("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=1024.0))
    recorded = fit(SpectraCallback(NAMES, group_of=2), Classifier(), plugins=[plugin])
    xr.testing.assert_allclose(recorded, plain(Classifier()), rtol=1e-5)


def test_a_fit_from_a_checkpoint_goes_on_in_the_file(tmp_path: Path) -> None:
    def make() -> tuple[SpectraCallback, ModelCheckpoint]:
        spectra = SpectraCallback(NAMES, group_of=2, path=tmp_path / "spectra.nc", resume=True)
        return spectra, ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1, enable_version_counter=False)

    trainer(*make(), max_epochs=3).fit(Classifier(), LOADER)
    spectra, checkpoint = make()
    trainer(spectra, checkpoint, max_epochs=4).fit(Classifier(), LOADER, ckpt_path=tmp_path / "epoch=1.ckpt")
    recorded = spectra.recorder.spectra()
    assert recorded["step"].values.tolist() == list(range(20))
    xr.testing.assert_allclose(recorded, plain(Classifier(), epochs=4), rtol=1e-6)


def test_a_missing_package_is_named_with_its_extra() -> None:
    program = "import sys; sys.modules['pytorch_lightning'] = None; import gradspec.capture.lightning"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT / "workflow", capture_output=True, text=True, check=False
    )
    assert "ModuleNotFoundError: gradspec.capture.lightning needs PyTorch Lightning" in done.stderr
    assert "gradspec[lightning]" in done.stderr
