"""Record gradient spectra in a loop of one's own, and compare how many directions two groups use.

Two groups learn the same task from the same features, but the patients' samples vary along three directions only.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from gradspec.capture import BalancedBatchSampler, SpectraRecorder
from gradspec.spectra.features import effective_rank

GROUPS = ["control", "patient"]


def simulate(n: int = 400, features: int = 30) -> tuple[Tensor, Tensor, Tensor]:
    """Samples, the classes to learn, and the groups, of which the second is the smaller."""
    group = (torch.rand(n) < 0.3).long()
    x = torch.randn(n, features)
    x[group == 1] = x[group == 1, :3] @ torch.randn(3, features)
    y = (x @ torch.randn(features) > 0).long()
    return x, y, group


def main() -> None:
    """Train, say what was recorded and what it shows, and write it down."""
    torch.manual_seed(0)
    x, y, group = simulate()
    # Ranks depend on how many samples a group has in a batch, so both have equally many.
    loader = DataLoader(TensorDataset(x, y, group), batch_sampler=BalancedBatchSampler(group, batch_size=32))
    model = nn.Sequential(nn.Linear(30, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)

    with SpectraRecorder(model, groups=GROUPS) as recorder:
        for epoch in range(5):
            for batch, classes, labels in loader:
                optimizer.zero_grad()
                with recorder.step(labels, epoch=epoch) as step:
                    loss = cross_entropy(model(batch), classes)
                    loss.backward()
                    step.record(loss=loss)
                optimizer.step()

    print(recorder.report(), "\n")
    spectra = recorder.spectra()
    for parameter in ("0.weight", "2.weight", "4.weight"):
        ranks = effective_rank(spectra[parameter]["gradient"].values).mean(axis=0)
        named = zip(spectra["group"].values, ranks, strict=True)
        print(f"effective rank of {parameter}:", ", ".join(f"{name} {rank:.1f}" for name, rank in named))
    spectra.to_netcdf("spectra.nc", engine="h5netcdf")


if __name__ == "__main__":
    main()
