#!/usr/bin/env bash
# torchinfo 1.8.0 with torch 2.13.0 (CPU): summary(model, input_size=…), which "provides information complementary to print(model)".
# Expected: looking at a network changes nothing of its training. torchinfo takes care of that elsewhere: the mode of the model (train,
# eval) is put back, and the batch statistics are left alone.
# Seen: the input that it runs the network on is drawn from the global generator. The same script with the same seed has other initial
# weights after the call, other batches and other dropout, and ends with other weights than without the summary. With input_data=… none
# of it happens.
# Tied weights are counted once for each module that holds them: 80 parameters of a network that has 40, trainable ones included.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 torchinfo==1.8.0 numpy==2.4.6
cat > "$folder/check.py" <<'PYTHON'
import torch
import torchinfo
from torch import nn


def train(look):
    """A few steps of a small network from one seed; gives its weights."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 2))
    x, y = torch.linspace(-1, 1, 80).view(20, 4), torch.arange(20) % 2
    look(model)
    assert model.training and int(model[1].num_batches_tracked) == 0
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(5):
        batch = torch.randperm(20)[:8]
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
        optimizer.step()
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


alone = train(lambda model: None)
assert torch.equal(alone, train(print)), "training is not the same twice"
given = train(lambda model: torchinfo.summary(model, input_data=torch.zeros(8, 4), verbose=0))
drawn = train(lambda model: torchinfo.summary(model, input_size=(8, 4), verbose=0))
print("weights after five steps, largest difference from those without a summary:")
print("  input_data", float((given - alone).abs().max()), " input_size", float((drawn - alone).abs().max()))
assert torch.equal(given, alone), "input_data changes training now"
assert float((drawn - alone).abs().max()) > 0.01, "input_size leaves the generator alone now"


class Tied(nn.Module):
    """Words in and out by one matrix, as in language models."""

    def __init__(self):
        super().__init__()
        self.words, self.readout = nn.Embedding(10, 4), nn.Linear(4, 10, bias=False)
        self.readout.weight = self.words.weight

    def forward(self, ids):
        return self.readout(self.words(ids))


counted = torchinfo.summary(Tied(), input_data=torch.zeros(2, 3, dtype=torch.long), verbose=0)
n_own = sum(parameter.numel() for parameter in Tied().parameters())
print("tied weights:", counted.total_params, "of", n_own, "are counted,", counted.trainable_params, "as trainable")
assert (counted.total_params, counted.trainable_params, n_own) == (80, 80, 40), "tied weights are counted in another way now"
PYTHON
"$folder/env/bin/python" "$folder/check.py"
