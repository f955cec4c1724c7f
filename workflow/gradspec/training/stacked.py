r"""Networks of one architecture trained together: one stack of weights, one pass and one step of the optimiser for all.

Under permuted groups a fold is trained again and again from the same weights and with the same masks of dropout; only
who is in which batch differs. The weights of all these networks are stacked, and PyTorch's `vmap` runs them as one:
small layers spend most of their time in starting operations, not in computing. In steps that are recorded the gradient
of each group is taken apart, of the summed loss of its samples, and the singular values of a whole stack are solved at
once, as square roots of the eigenvalues of :math:`G_g G_g^\top` in double precision. They are those of the recorder to
the rounding of a gradient in single precision; spectra of the pooled gradient are not taken, since nothing tests them.

What cannot be stacked is trained one network after the other. That is found out by training two networks for an epoch
both ways (`try_stack`): operations that `vmap` does not know, random numbers that it draws otherwise, samples that meet
in a batch (batch normalisation), layers of which the recorder takes blocks, and whatever a network of one's own may do.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from gradspec.errors import ConfigError
from gradspec.models.own import network_of
from gradspec.models.registry import build_model
from gradspec.training.device import choose_device, reproducible
from gradspec.training.fold import make_optimizer
from gradspec.training.loop import fit
from gradspec.training.prepared import Prepared
from gradspec.training.record import identify
from gradspec.training.tasks import Task, task_of

if TYPE_CHECKING:
    import xarray as xr

_log = logging.getLogger(__name__)

TOGETHER = {"cpu": 50, "cuda": 256}
"""Networks of a stack at most: more gain nothing, and their activations take memory."""

_SLOWER = (nn.MultiheadAttention,)  # measured: 36 ms a step and network in a stack, 29 alone
_TOLERANCE = 1e-4  # of losses and singular values, relative to the largest: rounding of single precision, not a mistake
_STEPS_COMPARED = 3  # from then on AdamW lets gradients that are zero but for rounding change weights


@dataclass(frozen=True)
class Layer:
    """A weight whose gradient is recorded.

    Attributes
    ----------
    name : str
        As in ``model.named_parameters()``.
    attrs : dict
        Of its node among the spectra.
    ranks : dict
        Singular values that each group can have, by the sizes of the groups in a batch.
    """

    name: str
    attrs: dict[str, Any]
    ranks: dict[tuple[int, ...], tuple[int, ...]]


def try_stack(prepared: Sequence[Prepared]) -> list[Layer] | None:
    """Find out whether networks can be trained together, by training two of them so and one alone.

    Parameters
    ----------
    prepared : sequence of Prepared
        Two or more trainings of one fold, whose batches have the same sizes.

    Returns
    -------
    list of Layer, or None
        The layers that are recorded; None where networks have to be trained one after the other.
    """
    fold = prepared[0].fold
    if fold.amp or fold.patience is not None or list(fold.kinds) != ["gradient"] or len(prepared) < 2:
        return None
    alone = _train_alone(prepared[0])
    if alone is None:
        return None
    layers = [
        Layer(node.path.removeprefix("/"), dict(node.attrs), _ranks(alone["n"].values, node["gradient"].values))
        for node in alone.subtree
        if "gradient" in node.data_vars
    ]
    try:
        stacked = train_stacked([replace(each, fold=replace(fold, epochs=1)) for each in prepared[:2]], layers)
    except (ConfigError, RuntimeError, NotImplementedError, ValueError, TypeError, KeyError) as error:
        _log.info("%s is trained one network after the other: %s", fold.model, str(error).partition("\n")[0])
        return None
    if not _agree(stacked, alone, layers, fold.record_every):
        _log.info("%s is trained one network after the other, since a stack gives other numbers", fold.model)
        return None
    return layers


def train_stacked(prepared: Sequence[Prepared], layers: Sequence[Layer]) -> "xr.DataTree":
    """Train networks together.

    Parameters
    ----------
    prepared : sequence of Prepared
        Trainings of one fold, whose batches have the same sizes.
    layers : sequence of Layer
        As `try_stack` gives them.

    Returns
    -------
    DataTree
        Their spectra with the leading dim ``run_index``, each as those of `gradspec.training.fold.train_fold` are, but
        NaN for the pooled gradient.
    """
    fold = prepared[0].fold
    device = choose_device(fold.device)
    inputs = _place(prepared, device)
    labels = torch.from_numpy(np.stack([each.samples.groups for each in prepared])).to(device)
    rows = torch.arange(len(prepared), device=device)[:, None]
    history = _History(layers, len(prepared))
    with reproducible(fold.derive_seed("network"), device, deterministic=fold.deterministic):
        networks = _Stack(build_model(fold.model, tuple(inputs.shape[2:]), fold.hyperparameters), fold, prepared)
        step = 0
        for epoch in range(fold.epochs):
            for batches in zip(*(each.draw_batches(epoch) for each in prepared), strict=True):
                batch = torch.from_numpy(np.stack(batches)).to(device)
                of_stack = inputs[rows if len(inputs) > 1 else 0, batch], labels[rows, batch]
                if step % fold.record_every:
                    networks.descend(*of_stack)
                else:
                    history.add(epoch, networks, *of_stack)
                step += 1
    return history.tree(identify(fold), fold.levels)


class _Stack:
    """Weights of many networks, and the optimiser of all."""

    def __init__(self, model: nn.Module, fold: Any, prepared: Sequence[Prepared]) -> None:
        model = model.to(choose_device(fold.device)).train()
        self.n_networks = len(prepared)
        self.parameters, self._buffers = stack_module_state([model] * self.n_networks)
        self._trained = {name: weight for name, weight in self.parameters.items() if weight.requires_grad}
        self._optimizer = make_optimizer(self._trained.values(), fold)
        self._task: Task = task_of(network_of(fold.model, fold.hyperparameters)[0])
        self._forward = vmap(
            lambda parameters, buffers, x: functional_call(model, (parameters, buffers), (x,)), randomness="same"
        )

    def descend(self, x: Tensor, groups: Tensor) -> None:
        """Take a step that is not recorded."""
        self._optimizer.zero_grad()
        self._losses(x, groups).mean(dim=1).sum().backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()

    def descend_by_group(self, x: Tensor, groups: Tensor) -> tuple[Tensor, list[dict[str, Tensor]]]:
        """Take a step, and return the loss of each sample and the gradients of each group."""
        losses = self._losses(x, groups)
        of_groups = []
        for group in (0, 1):
            share = (losses * (groups == group)).sum() / losses.shape[1]
            found = torch.autograd.grad(share, tuple(self._trained.values()), retain_graph=group == 0)
            of_groups.append(dict(zip(self._trained, found, strict=True)))
        for name, weight in self._trained.items():
            # The fused optimiser reads a gradient in the order of the weight: vmap gives it in another.
            weight.grad = (of_groups[0][name] + of_groups[1][name]).contiguous()
        self._optimizer.step()
        return losses.detach(), of_groups

    def _losses(self, x: Tensor, groups: Tensor) -> Float[Tensor, "network sample"]:
        outputs = self._forward(self.parameters, self._buffers, x)
        flat = (each.flatten(0, 1) for each in (outputs, x, groups))
        losses: Tensor = self._task.losses(*flat)
        return losses.view(groups.shape)


class _History:
    """What the recorded steps of a stack leave behind."""

    def __init__(self, layers: Sequence[Layer], n_networks: int) -> None:
        self._layers = layers
        self._n_networks = n_networks
        self._steps: list[tuple[int, tuple[int, ...], np.ndarray]] = []  # epoch, sizes of the groups, losses
        self._spectra: dict[str, list[np.ndarray]] = {layer.name: [] for layer in layers}

    def add(self, epoch: int, networks: _Stack, x: Tensor, groups: Tensor) -> None:
        """Take a step of the networks, and keep losses and singular values."""
        losses, gradients = networks.descend_by_group(x, groups)
        sizes = tuple(int((groups[0] == group).sum()) for group in (0, 1))
        means = [(losses * (groups == group)).sum(dim=1) / size for group, size in enumerate(sizes)]
        means.append(losses.mean(dim=1))
        self._steps.append((epoch, sizes, torch.stack(means, dim=1).cpu().numpy()))
        for layer in self._layers:
            ranks = layer.ranks[sizes]
            spectra = np.full((self._n_networks, 3, max(ranks)), np.nan)
            for group, rank in enumerate(ranks):
                values = singular_values(gradients[group][layer.name], tuple(layer.attrs["shape"]))
                spectra[:, group, :rank] = values[:, :rank].cpu().numpy()
            self._spectra[layer.name].append(spectra)

    def tree(self, attrs: dict[str, Any], levels: Sequence[str]) -> "xr.DataTree":
        """The spectra of all networks."""
        import xarray as xr

        n_networks = self._n_networks
        sizes = np.array([[*of_groups, sum(of_groups)] for _, of_groups, _ in self._steps])
        losses = np.stack([of_groups for *_, of_groups in self._steps], axis=1).astype(np.float64)
        dims = ("run_index", "step", "group")
        runs = {name: ("run_index", np.full(n_networks, attrs[name])) for name in ("repeat", "fold")}
        root = xr.Dataset(
            {
                "epoch": ("step", [epoch for epoch, *_ in self._steps]),
                "n": (dims, np.tile(sizes, (n_networks, 1, 1))),
                "group_loss": (dims, losses),
            },
            coords={"step": np.arange(len(sizes)), "group": [*levels, "pooled"], **runs},
            attrs={**attrs, "by": "retraining"},
        )
        nodes = {
            layer.name: xr.Dataset(
                {"gradient": ((*dims, "index"), _join(self._spectra[layer.name]))}, attrs=layer.attrs
            )
            for layer in self._layers
        }
        return xr.DataTree.from_dict({"/": root, **nodes})


@torch.no_grad()
def singular_values(gradients: Float[Tensor, "network ..."], shape: tuple[int, ...]) -> Float[Tensor, "network index"]:
    """Singular values of a stack of gradients as matrices (m, n), descending; NaN where one is not finite.

    They are exact to 1e-8 of the largest, far below the rounding of the gradients themselves.
    """
    matrices = gradients.reshape(len(gradients), *shape).double()
    wide = matrices if shape[0] <= shape[1] else matrices.mT
    grams = wide @ wide.mT
    finite = grams.isfinite().flatten(1).all(dim=1)
    solved = torch.linalg.eigvalsh(torch.where(finite[:, None, None], grams, 0.0))
    return torch.where(finite[:, None], solved.clamp(min=0).sqrt().flip(1), torch.nan)


def _place(prepared: Sequence[Prepared], device: torch.device) -> Float[Tensor, "network sample ..."]:
    """Scaled samples of every network, or of the first where they are the same for all (a network dim of 1)."""
    distinct = prepared if any(each.values is not prepared[0].values for each in prepared) else prepared[:1]
    return torch.from_numpy(np.stack([each.values for each in distinct])).to(device)


def _train_alone(prepared: Prepared) -> "xr.DataTree | None":
    """Spectra of every step of the first epoch of a network alone; None where stacking it would gain nothing."""
    from gradspec.capture import SpectraRecorder

    fold, device = prepared.fold, choose_device(prepared.fold.device)
    inputs = torch.from_numpy(prepared.values).to(device)
    with reproducible(fold.derive_seed("network"), device, deterministic=fold.deterministic):
        model = build_model(fold.model, tuple(inputs.shape[1:]), fold.hyperparameters).to(device)
        if any(isinstance(module, _SLOWER) for module in model.modules()):
            return None
        recorder = SpectraRecorder(model, groups=fold.levels)
        fit(
            model,
            inputs,
            torch.from_numpy(prepared.samples.groups).to(device),
            epochs=range(1),
            draw_batches=prepared.draw_batches,
            optimizer=make_optimizer(model.parameters(), fold),
            recorder=recorder,
            after_epoch=lambda _: False,
            task=task_of(network_of(fold.model, fold.hyperparameters)[0]),
        )
    return recorder.spectra()


def _ranks(sizes: np.ndarray, spectra: Float[np.ndarray, "step group index"]) -> dict[tuple[int, ...], tuple[int, ...]]:
    """Singular values that each group had, by the sizes of the groups."""
    counts = np.isfinite(spectra[:, :-1]).sum(axis=2)
    return {tuple(map(int, of_step[:-1])): tuple(map(int, count)) for of_step, count in zip(sizes, counts, strict=True)}


def _agree(stacked: "xr.DataTree", alone: "xr.DataTree", layers: Sequence[Layer], every: int) -> bool:
    """Whether a network of a stack did in its first steps what it does alone."""
    for path in ("group_loss", *(f"{layer.name}/gradient" for layer in layers)):
        found, expected = (
            values[:_STEPS_COMPARED, :2] for values in (stacked[path].values[0], alone[path].values[::every])
        )
        expected = expected[..., : found.shape[-1]]  # pooled has more singular values
        allowed = _TOLERANCE * np.nanmax(expected, initial=0.0)
        if not np.allclose(found, expected, rtol=0, atol=allowed, equal_nan=True):
            return False
    return True


def _join(spectra: Sequence[Float[np.ndarray, "network group index"]]) -> Float[np.ndarray, "network step group index"]:
    """Spectra of all steps, padded with NaN to as many values as any has."""
    width = max(each.shape[2] for each in spectra)
    padded = [np.pad(each, [(0, 0), (0, 0), (0, width - each.shape[2])], constant_values=np.nan) for each in spectra]
    return np.stack(padded, axis=1)
