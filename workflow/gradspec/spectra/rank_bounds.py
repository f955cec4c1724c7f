r"""How many directions a gradient can have at most, before anything is trained.

A layer that sees N rows H (inputs) and Δ (gradients at its output) has the weight gradient
:math:`G = \Delta^\top H`, so

.. math:: \operatorname{rank} G \le \min(\operatorname{rank} \Delta, \operatorname{rank} H) \le \min(N, m, n).

What is below follows Baker, Pearlmutter, Miller, Calhoun and Plis (2024), "Low-Rank Learning by Design",
arXiv:2402.06751, in its questions: linear and leaky-ReLU networks, bottlenecks, recurrent networks and how far their
gradients go back, the length of a sequence. The bounds are derived here, each in the docstring of its function, since
equation (1) of that paper bounds the rank of the gradient of a layer by the rank of that layer's own weight, which does
not hold: one linear layer with W = 0 and the squared loss has a gradient :math:`-Y^\top X` of any rank. The weights
that count are those of the *other* layers, which H and Δ went through.

With the cross-entropy of C classes each row of Δ at the logits, softmax minus one-hot, adds up to zero: rank C - 1.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

Shapes = Mapping[str, tuple[int, int]]
"""Shape (outputs m, inputs n) of every layer, by its name in the file of spectra, from input to output."""


class Bound(NamedTuple):
    """The largest rank that is possible, and what limits it."""

    rank: int
    reason: str


@dataclass(frozen=True)
class LayerBounds:
    """Bounds of the three matrices of a layer: its inputs, the gradients at its outputs, and those of its weight."""

    activation: Bound
    delta: Bound
    gradient: Bound


@dataclass(frozen=True)
class Batch:
    """What a network learns from in a step: samples (of a group), their volumes, and the classes they have."""

    n_samples: int
    n_volumes: int
    n_classes: int = 2


def bound_ranks(
    network: str, hyperparameters: Mapping[str, Any], shapes: Shapes, batch: Batch
) -> dict[str, LayerBounds]:
    """Bound the ranks of every layer of a network.

    Parameters
    ----------
    network : str
        ``mlp``, ``elman``, ``lstm`` or ``transformer``; of any other only the shapes of its layers are used.
    hyperparameters : mapping
        All of its hyper-parameters.
    shapes : mapping
        Shape of each layer.
    batch : Batch
        What it learns from.

    Returns
    -------
    dict
        Bounds by layer.
    """
    return _NETWORKS.get(network, _bound_by_shape)(hyperparameters, shapes, batch)


def bound_layer(shape: tuple[int, int], inputs: Bound, deltas: Bound) -> LayerBounds:
    r"""Bound a layer by its shape and by what is known of its rows.

    Parameters
    ----------
    shape : tuple of int
        Outputs m and inputs n.
    inputs, deltas : Bound
        Of H and Δ, apart from their number of columns.
    """
    n_outputs, n_inputs = shape
    activation = min(inputs, Bound(n_inputs, "inputs of the layer"), key=_rank)
    delta = min(deltas, Bound(n_outputs, "outputs of the layer"), key=_rank)
    return LayerBounds(activation, delta, min(delta, activation, key=_rank))


def linear_chain(widths: list[int], n_rows: int) -> list[int]:
    r"""Bound the ranks of the inputs of all layers of a linear network with biases.

    With a column of ones, :math:`[H_{i+1}\; 1] = [H_i\; 1] M_i`, so no layer has more than the narrowest before it:

    .. math:: \operatorname{rank} H_i \le \min(N, w_i, \min_{j < i} w_j + 1).

    Without biases the 1 could go.

    Parameters
    ----------
    widths : list of int
        Length of a sample, and the outputs of every layer but the last.
    n_rows : int
        Number of rows N.
    """
    ranks, narrowest = [], n_rows
    for width in widths:
        ranks.append(min(width, narrowest))
        narrowest = min(narrowest, width + 1)
    return ranks


def leaky_tail(delta: Float[np.ndarray, " index"], rank: int, slope: float) -> Float[np.ndarray, " index"]:
    r"""Bound the singular values by which a leaky ReLU raises the rank of the gradients that pass it.

    Back through the activation, :math:`\Delta = A \circ D` with :math:`D = \alpha 1 1^\top + (1 - \alpha) M`, where
    M is 1 where the activation is positive and 0 elsewhere, and A has rank r. By Weyl's inequality and since
    :math:`A \circ M` holds entries of Δ,

    .. math::
        \sigma_{r+k}(\Delta) \le (1 - \alpha)\, \sigma_k(A \circ M)
        \le (1 - \alpha) \lVert \Delta \rVert_F / \sqrt k,

    so the closer the slope is to 1, the less lies outside the r directions of the linear network.

    Parameters
    ----------
    delta : ndarray of shape (index,)
        Singular values of Δ.
    rank : int
        r.
    slope : float
        :math:`\alpha`, from 0 to 1.

    Returns
    -------
    ndarray of shape (index,)
        Bound of each singular value; infinite for the first r.
    """
    bounds = np.full(delta.shape, np.inf)
    beyond = np.arange(1, delta.size - rank + 1)
    bounds[rank:] = (1 - slope) * np.linalg.norm(delta) / np.sqrt(beyond)
    return bounds


def _rank(bound: Bound) -> int:
    return bound.rank


def _samples(n_samples: int, n_positions: int = 1) -> Bound:
    return Bound(n_samples * n_positions, "samples" if n_positions == 1 else "samples × volumes")


def _classes(batch: Batch) -> Bound:
    return Bound(batch.n_classes - 1, "classes - 1")


def _bound_by_shape(hyperparameters: Mapping[str, Any], shapes: Shapes, batch: Batch) -> dict[str, LayerBounds]:
    open_end = Bound(max(map(max, shapes.values())), "shape of the layer")
    return {name: bound_layer(shape, open_end, open_end) for name, shape in shapes.items()}


def _bound_mlp(hyperparameters: Mapping[str, Any], shapes: Shapes, batch: Batch) -> dict[str, LayerBounds]:
    r"""Bound a multilayer perceptron.

    With an activation only the number of rows is known. A linear network passes Δ back through the weights of later
    layers, :math:`\Delta_i = \Delta_{i+1} W_{i+1}`, and so keeps its rank or loses some.
    """
    rows = _samples(batch.n_samples)
    is_linear = hyperparameters["negative_slope"] == 1 and hyperparameters["dropout"] == 0
    inputs = [rows] * len(shapes)
    if is_linear:
        ranks = linear_chain([n_inputs for _, n_inputs in shapes.values()], batch.n_samples)
        inputs = [min(rows, Bound(rank, "narrowest layer before"), key=_rank) for rank in ranks]
    bounds: dict[str, LayerBounds] = {}
    deltas = _classes(batch)
    for (name, shape), known in zip(reversed(list(shapes.items())), reversed(inputs), strict=True):
        bounds[name] = bound_layer(shape, known, min(deltas, rows, key=_rank))
        deltas = bounds[name].delta if is_linear else rows
    return {name: bounds[name] for name in shapes}


def _bound_recurrent(hyperparameters: Mapping[str, Any], shapes: Shapes, batch: Batch) -> dict[str, LayerBounds]:
    r"""Bound a recurrent network, whose rows are samples × the volumes that gradients reach.

    Read out of the last state only, these are the last k of T volumes, where gradients go back over k. Read out of the
    mean, every volume has a gradient. What the recurrent weight sees in the first volume is the state zero, which adds
    nothing. A linear Elman network adds, for :math:`\delta_s` at the states and windows of k volumes,

    .. math:: \Delta_t = \sum_{j=0}^{k-1} \delta_{t+j} W^j,

    so that every row lies in the span of :math:`W_o W^j`, with the C - 1 directions of the read-out :math:`W_o` that
    count: rank (C - 1) k, for as many samples and volumes as there may be.
    """
    n_samples, n_volumes = batch.n_samples, batch.n_volumes
    back = min(hyperparameters["truncate"] or n_volumes, n_volumes)
    reached = back if hyperparameters["readout"] == "last" else n_volumes
    rows = _samples(n_samples, reached)
    after_first = _samples(n_samples, reached - (reached == n_volumes))
    deltas = rows
    if hyperparameters.get("activation") == "linear" and hyperparameters["dropout"] == 0:
        deltas = min(Bound((batch.n_classes - 1) * back, "volumes back in time"), rows, key=_rank)
    bounds = {}
    for name, shape in shapes.items():
        if name.startswith("readout"):
            samples = _samples(n_samples)
            bounds[name] = bound_layer(shape, samples, min(_classes(batch), samples, key=_rank))
        elif name.startswith("input"):
            bounds[name] = bound_layer(shape, _samples(n_samples, n_volumes), deltas)
        else:
            is_recurrent = name.startswith("recurrent") or "_hh_" in name
            bounds[name] = bound_layer(shape, after_first if is_recurrent else rows, deltas)
    return bounds


def _bound_transformer(hyperparameters: Mapping[str, Any], shapes: Shapes, batch: Batch) -> dict[str, LayerBounds]:
    """Bound a transformer, whose rows are samples × tokens: the volumes and the class token.

    Only the class token is read out. In the last layer, therefore, queries, the output of attention and the
    feed-forward part have gradients in one token a sample; keys and values, in every head, only along its query (keys)
    or the gradient of its output (values): one direction a sample and head.
    """
    n_volumes = min(hyperparameters["n_volumes"] or batch.n_volumes, batch.n_volumes)
    volumes = _samples(batch.n_samples, n_volumes)
    tokens = Bound(batch.n_samples * (n_volumes + 1), "samples × tokens")
    distinct = Bound(volumes.rank + 1, "samples × volumes + class token")
    without_one = Bound(volumes.rank, "samples × (tokens - 1)")
    samples = Bound(batch.n_samples, "samples (only the class token is read)")
    heads = Bound(batch.n_samples * hyperparameters["heads"], "samples × heads")
    last = f"encoder.layers.{hyperparameters['layers'] - 1}."
    bounds = {}
    for name, shape in shapes.items():
        inputs, deltas = tokens, tokens
        if name.startswith("embedding"):
            inputs, deltas = volumes, volumes
        elif name.startswith("readout"):
            inputs = _samples(batch.n_samples)
            deltas = min(_classes(batch), inputs, key=_rank)
        elif name.startswith(last):
            deltas = min(tokens, heads if name.endswith(("/k", "/v")) else samples, key=_rank)
        if name.endswith("/k"):
            deltas = min(deltas, without_one, key=_rank)
        if name.startswith("encoder.layers.0.self_attn.in_proj") and hyperparameters["dropout"] == 0:
            inputs = min(inputs, distinct, key=_rank)
        bounds[name] = bound_layer(shape, inputs, deltas)
    return bounds


_NETWORKS: dict[str, Callable[[Mapping[str, Any], Shapes, Batch], dict[str, LayerBounds]]] = {
    "mlp": _bound_mlp,
    "elman": _bound_recurrent,
    "lstm": _bound_recurrent,
    "transformer": _bound_transformer,
}
