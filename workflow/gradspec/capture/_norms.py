r"""Normalisations: their weight and bias, which are vectors.

The weight multiplies the standardised input :math:`\hat x`, entry by entry or channel by channel. In backward
:math:`\hat x` is computed again, in float64, from the input that the layer's own backward keeps anyway. Where batch
statistics are used :math:`\hat x` is that of the whole batch, and a group has its rows' share.
"""

from collections.abc import Callable
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, group_norm, instance_norm, layer_norm, rms_norm
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from gradspec.capture._groups import Groups
from gradspec.capture._layer import Layer
from gradspec.capture._register import Register
from gradspec.capture._samples import SampleDim
from gradspec.capture._step import StepCapture
from gradspec.capture._vectors import add_vector, watched
from gradspec.capture.errors import RowsError

ByFeature = nn.LayerNorm | nn.RMSNorm

KINDS = ("gradient",)


class NormLayer(Layer):
    """Layer, RMS, group, batch and instance normalisation with affine parameters.

    Parameters
    ----------
    name : str
        Name of the module in the model.
    module : nn.Module
        The module.
    register : Register
        The weights of the model.
    samples : SampleDim
        Where layer and RMS normalisation, which take any number of dimensions, have their samples. The others have
        them first and the channels second.
    """

    functions = ("layer_norm", "rms_norm", "group_norm", "batch_norm", "instance_norm")
    request = "vectors"

    def __init__(self, name: str, module: nn.Module, register: Register, samples: SampleDim) -> None:
        super().__init__(name, module, register, samples)
        self.agreement = "bitwise equal"
        self.samples = samples if isinstance(module, ByFeature) else SampleDim()
        self._vectors = {
            local: register.vectors(self, local, always=True) for local, _ in module.named_parameters(recurse=False)
        }
        self.weights = [weight for weights in self._vectors.values() for weight in weights]

    def call(
        self, step: StepCapture, function: Callable[..., Tensor], input: Tensor, *args: object, **kwargs: object
    ) -> Tensor:
        found = {local: self.module._parameters[local] for local, weights in self._vectors.items() if weights}
        vectors = {local: vector for local, vector in found.items() if vector is not None and vector.requires_grad}
        if not vectors:
            return function(input, *args, **kwargs)
        standardise = _standardiser(self.module, input)
        groups = self.rows_in(step, input.shape, self.samples.dim)
        use = step.use(lambda: self._check(input, groups), groups)

        def sink(delta: Tensor, received: list[bool], x: Tensor) -> None:
            use.spend()
            delta = delta.double()
            for (local, vector), wanted in zip(vectors.items(), received, strict=True):
                if wanted:
                    rows = delta * standardise(x.double()) if local == "weight" else delta
                    add_vector(step, self._vectors[local][0], self._per_sample(rows, vector.numel()))

        def spoil() -> None:
            reason = "second derivatives of a normalisation are not captured"
            step.spoiled |= {self._vectors[local][0]: reason for local in vectors}

        return watched(function(input, *args, **kwargs), [*vectors.values()], [input], sink, spoil)

    def _check(self, input: Tensor, groups: Groups) -> None:
        if isinstance(self.module, ByFeature):
            shape = input.shape[: input.ndim - len(self.module.normalized_shape)]
            self.samples.check(shape, groups, self)
            return
        if isinstance(self.module, _InstanceNorm) and input.ndim == self.module._get_no_batch_dim():  # type: ignore[no-untyped-call]
            raise RowsError(f"{self} saw an unbatched input of shape {tuple(input.shape)}; give it a batch dimension")
        self.samples.check(input.shape, groups, self)

    def _per_sample(self, rows: Tensor, entries: int) -> Tensor:
        """Sums over the rows of each sample, an entry of the vector each."""
        if isinstance(self.module, ByFeature):
            rows = rows.movedim(self.samples.dim, 0)
            return rows.reshape(len(rows), -1, entries).sum(1)
        return rows.reshape(*rows.shape[:2], prod(rows.shape[2:])).sum(2)


def _standardiser(module: nn.Module, x: Tensor) -> Callable[[Tensor], Tensor]:
    """The normalisation as it is at this moment, without its affine parameters."""
    match module:
        case nn.LayerNorm():
            return lambda x: layer_norm(x, module.normalized_shape, eps=module.eps)
        case nn.RMSNorm():
            # The default depends on the precision of the input, which is not that in which this runs.
            eps = torch.finfo(x.dtype).eps if module.eps is None else module.eps
            return lambda x: rms_norm(x, module.normalized_shape, eps=eps)
        case nn.GroupNorm():
            return lambda x: group_norm(x, module.num_groups, eps=module.eps)
    assert isinstance(module, _BatchNorm | _InstanceNorm)
    eps = module.eps
    running_mean, running_var = module.running_mean, module.running_var
    if module.training or running_mean is None or running_var is None:
        if isinstance(module, _BatchNorm):
            return lambda x: batch_norm(x, None, None, training=True, eps=eps)
        return lambda x: instance_norm(x, eps=eps)
    mean, variance = running_mean.double().clone(), running_var.double().clone()
    return lambda x: batch_norm(x, mean, variance, training=False, eps=eps)
