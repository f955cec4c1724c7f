"""Fine-tune a pretrained transformer: lower layer frozen, chosen layers recorded, for 5 % of the time.

The encoder is pretrained here, to fill in what is masked in synthetic sequences; a downloaded one is used the same way.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from gradspec.capture import SpectraRecorder, per_group_mean

WIDTH, TIMES = 32, 24


def make_encoder() -> nn.TransformerEncoder:
    """Two layers of attention."""
    layer = nn.TransformerEncoderLayer(WIDTH, nhead=4, dim_feedforward=64, dropout=0.0, batch_first=True)
    return nn.TransformerEncoder(layer, num_layers=2, enable_nested_tensor=False)


def draw_sequences(n: int) -> Tensor:
    """Waves of random phase and speed, a channel each."""
    phase, speed = torch.rand(n, 1, WIDTH) * 6.3, torch.rand(n, 1, WIDTH)
    return torch.sin(phase + speed * torch.arange(TIMES)[:, None])


def pretrain(encoder: nn.Module, steps: int = 60) -> None:
    """Learn to fill in masked times."""
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=1e-3)
    for _ in range(steps):
        x = draw_sequences(32)
        masked = x * (torch.rand(32, TIMES, 1) > 0.3)
        optimizer.zero_grad()
        mse_loss(encoder(masked), x).backward()
        optimizer.step()


def main() -> None:
    """Pretrain, freeze, fine-tune with accumulated gradients, and say what was recorded."""
    torch.manual_seed(0)
    encoder = make_encoder()
    pretrain(encoder)
    encoder.layers[0].requires_grad_(False)
    model = nn.ModuleDict({"encoder": encoder, "head": nn.Linear(WIDTH, 2)})
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    chosen = ["encoder.layers.1.self_attn", "encoder.layers.1.linear1", "head"]

    with SpectraRecorder(model, ["control", "patient"], layers=chosen, every="auto", budget=0.05) as recorder:
        for epoch in range(3):
            for _ in range(30):
                optimizer.zero_grad()
                with recorder.accumulate(epoch=epoch) as step:  # four small batches are one step
                    for _ in range(4):
                        x, group = draw_sequences(8), (torch.rand(8) < 0.4).long()
                        y = (x[:, :, 0].mean(dim=1) > 0).long()
                        with step.batch(group):
                            logits = model["head"](model["encoder"](x).mean(dim=1))
                            (cross_entropy(logits, y) / 4).backward()
                optimizer.step()

    print(recorder.report(), "\n")
    spectra = per_group_mean(recorder.spectra())  # the groups are of unequal size
    print(f"{spectra.sizes['step']} of 90 steps recorded")
    queries = spectra["encoder.layers.1.self_attn.in_proj_weight/q"]["gradient"]
    norms = queries.isel(index=0).mean("step")
    named = ", ".join(f"{name} {norm:.3f}" for name, norm in zip(norms["group"].values, norms.values, strict=True))
    print(f"mean spectral norm of the queries' gradient: {named}")
    spectra.to_netcdf("spectra.nc", engine="h5netcdf")


if __name__ == "__main__":
    main()
