#!/usr/bin/env bash
# torch 2.13.0 (CPU): AdamW(fused=True) and a gradient whose memory order differs from that of its parameter.
# Expected: the same step as with fused=False, or a refusal; `param.grad = …` takes any tensor of the right shape.
# Seen: no error, no warning; each entry moves by the gradient of another entry. A first step of AdamW is -lr·sign(g), so
# that entries go up where their loss falls with them. Adam(fused=True) and SGD(fused=True) are tried as well.
# Gradients like this come from torch.func (vmap over stacked networks, `grad` of a transposed use) when they are assigned.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy
cat > "$folder/check.py" <<'PYTHON'
import torch

torch.manual_seed(0)
gradient = torch.randn(6, 4)
strided = gradient.t().contiguous().t()  # the same values, columns first in memory
assert torch.equal(gradient, strided) and strided.stride() != gradient.stride()


def step(optimizer, **options):
    weight = torch.nn.Parameter(torch.zeros(6, 4))
    weight.grad = strided.clone(memory_format=torch.preserve_format)
    optimizer([weight], lr=1.0, **options).step()
    return weight.detach()


wrong = []
for optimizer in (torch.optim.AdamW, torch.optim.Adam, torch.optim.SGD):
    plain, fused = step(optimizer, fused=False), step(optimizer, fused=True)
    error = (plain - fused).abs().max().item()
    print(f"{optimizer.__name__}: largest difference of a step of size {plain.abs().max().item():.2f}: {error:.2f}")
    wrong += [optimizer.__name__] * (error > 0.5)
assert "AdamW" in wrong, "fused AdamW follows the strides of a gradient now: this finding is out of date"
print("torch", torch.__version__, "- silently wrong:", ", ".join(wrong))
PYTHON
"$folder/venv/bin/python" "$folder/check.py"
