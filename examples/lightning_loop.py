"""Record gradient spectra while PyTorch Lightning trains: one callback, nothing else changes.

Needs ``pip install 'gradspec[lightning]'``.
"""

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from gradspec.capture import group_sorting_collate
from gradspec.capture.lightning import SpectraCallback
from gradspec.spectra.features import effective_rank


class Classifier(pl.LightningModule):
    """Tells two classes apart from a time course, by a recurrent network."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(10, 24, batch_first=True)
        self.head = nn.Linear(24, 2)

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        """Loss of a batch; the callback finds the groups in it by itself."""
        timecourses, classes, _ = batch
        output, _ = self.lstm(timecourses)
        return cross_entropy(self.head(output[:, -1]), classes)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW as it comes."""
        return torch.optim.AdamW(self.parameters(), lr=3e-3)


def main() -> None:
    """Train with two batches a step, and say what was recorded."""
    pl.seed_everything(0, verbose=False)
    group = torch.randint(0, 2, (256,))
    timecourses = torch.randn(256, 20, 10).cumsum(dim=1)
    classes = (timecourses[:, -1, 0] > 0).long()
    data = TensorDataset(timecourses, classes, group)
    # In batches that are sorted by group, the recorder picks a group without a copy.
    loader = DataLoader(data, batch_size=16, shuffle=True, collate_fn=group_sorting_collate(2))

    spectra_callback = SpectraCallback(groups=["control", "patient"], group_of=2)
    trainer = pl.Trainer(
        max_epochs=3,
        accumulate_grad_batches=2,
        gradient_clip_val=1.0,
        callbacks=[spectra_callback],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Classifier(), loader)

    print(spectra_callback.recorder.report(), "\n")
    spectra = spectra_callback.recorder.spectra()
    for parameter in ("lstm.weight_ih_l0", "lstm.weight_hh_l0", "head.weight"):
        ranks = effective_rank(spectra[parameter]["gradient"].values).mean(axis=0)
        named = zip(spectra["group"].values, ranks, strict=True)
        print(f"effective rank of {parameter}:", ", ".join(f"{name} {rank:.1f}" for name, rank in named))
    spectra.to_netcdf("spectra.nc", engine="h5netcdf")


if __name__ == "__main__":
    main()
