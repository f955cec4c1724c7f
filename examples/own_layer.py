"""Record a kind of layer that the recorder does not know: a linear layer that scales its weight by a fixed factor."""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradspec.capture import Layer, SpectraRecorder, captured_linear, register_layer


class EqualisedLinear(nn.Module):
    """A linear layer without bias, whose input is scaled by its width."""

    def __init__(self, n_inputs: int, n_outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_outputs, n_inputs))

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x / x.shape[-1] ** 0.5, self.weight)


# >>> the layer
class EqualisedLinearLayer(Layer):
    """What is recorded of one, and what stands in for ``linear`` when it is called with its weight."""

    functions = ("linear",)

    def __init__(self, name, module, register, samples):
        super().__init__(name, module, register, samples)
        self.agreement = "bitwise equal on the sample side"
        self.weights = register.matrices(self, "weight", tuple(module.weight.shape), ("gradient",))

    def call(self, step, function, input, weight, bias=None):
        rows = self.rows_in(step, input.shape[:-1], self.samples.dim)
        check = partial(rows.check_batch, input.shape[:-1], self.samples.dim, str(self))
        return captured_linear(step, rows, self.weights, input, weight, bias, self.samples.dim, check)


register_layer(EqualisedLinear, EqualisedLinearLayer)
# <<<

if __name__ == "__main__":
    torch.manual_seed(0)
    model = nn.Sequential(EqualisedLinear(8, 6), nn.ReLU(), EqualisedLinear(6, 2))
    recorder = SpectraRecorder(model, groups=["control", "patient"])
    for _ in range(3):
        with recorder.step(torch.arange(12) % 2):
            functional.cross_entropy(model(torch.randn(12, 8)), torch.randint(0, 2, (12,))).backward()
    print(recorder.report())
    recorder.spectra().to_netcdf("spectra.nc", engine="h5netcdf")
