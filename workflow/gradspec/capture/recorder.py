"""`SpectraRecorder`: what a training loop sees of the capture."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self
from weakref import WeakKeyDictionary, ref

import torch
from jaxtyping import Int
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gradspec.capture._discovery import discover
from gradspec.capture._groups import Groups
from gradspec.capture._history import History, Step
from gradspec.capture._report import ParameterReport, Report
from gradspec.capture._spectra import solve
from gradspec.capture._step import StepCapture
from gradspec.capture.errors import AttachedTwiceError, CaptureError, NothingCapturedError

if TYPE_CHECKING:
    import xarray as xr

KINDS = ("gradient", "activation", "delta")
POOLED = "pooled"

_recorder_of: "WeakKeyDictionary[nn.Module, ref[SpectraRecorder]]" = WeakKeyDictionary()


class SpectraRecorder:
    r"""Records the singular values of every layer's weight gradient, for each group of samples and pooled.

    A layer that sees rows :math:`H` (samples; samples × times; samples × positions) and back-propagated
    :math:`\Delta` has the weight gradient :math:`G = \Delta^T H = \sum_g \Delta_g^T H_g`. Recorded are
    :math:`\sigma(G_g)` of each group g and :math:`\sigma(G)`, pooled, in every recorded step. The groups are those of
    the rows of the pooled pass, and raw: with a mean-reduced loss over N samples, :math:`\sigma N / n_g` are the
    singular values of group g's own mean gradient.

    The layers are changed only inside `step`; outside, the model is exactly as it was.

    Parameters
    ----------
    model : nn.Module
        The model, not wrapped and not compiled.
    groups : sequence of str
        Names of the groups. A sample's label is a position in this list, or -1 for one that counts only in pooled.
    layers : "auto" or sequence of str
        Names of the modules to record, or all of a known kind with trainable weights: Linear, Conv1d/2d/3d,
        RNN/LSTM/GRU, MultiheadAttention (and the transformer layers made of them).
    kinds : sequence of str
        Of ``gradient``, ``activation`` (:math:`\sigma(H_g)`) and ``delta`` (:math:`\sigma(\Delta_g)`). Recurrent layers
        have only the first.
    every : int
        Record one step in so many, the first included.

    Raises
    ------
    CaptureError
        When an argument is wrong or the model has nothing to record.
    UnsupportedError
        When the model is wrapped or compiled, or a named layer cannot be recorded.
    AttachedTwiceError
        When a layer belongs to another recorder that has not been detached.

    Notes
    -----
    Relative to the captured H and Δ and to :math:`\sigma_1`, singular values are right to 1e-12 on the sample side (no
    more rows than inputs or outputs) and to 1e-6 on the parameter side; `report` says which layer takes which.

    Several uses of a layer, and several backward passes, within one step add up before the spectrum is taken, each
    over the whole batch that the labels describe. The step must hold forward and backward. Regularisers that reach a
    weight other than through its layer are not part of its spectrum.

    Batch normalisation in training mode lets the samples of a batch meet, so that a group's share of the pooled
    gradient is not the gradient of a loss of that group alone; the recorder warns once, and records the former.

    Examples
    --------
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 6), torch.nn.ReLU(), torch.nn.Linear(6, 2))
    >>> recorder = SpectraRecorder(model, groups=["control", "patient"])
    >>> x, y, group = torch.randn(5, 8), torch.tensor([0, 1, 0, 1, 1]), torch.tensor([0, 1, 0, 1, 1])
    >>> with recorder.step(group, epoch=0) as step:
    ...     loss = torch.nn.functional.cross_entropy(model(x), y)
    ...     loss.backward()
    ...     step.record(loss=loss.item())
    >>> recorder.spectra()["0.weight"]["gradient"].dims
    ('step', 'group', 'index')
    """

    def __init__(
        self,
        model: nn.Module,
        groups: Sequence[str],
        layers: str | Sequence[str] = "auto",
        kinds: Sequence[str] = ("gradient",),
        every: int = 1,
    ) -> None:
        _check_arguments(groups, kinds, every)
        self._names = list(groups)
        self._kinds = tuple(kinds)
        self._every = every
        discovery = discover(model, layers)
        self._layers = discovery.layers
        self._skipped = discovery.skipped
        self._weights = [weight for layer in self._layers for weight in layer.weights]
        self._batch_norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
        self._batch_norm_seen = False
        self._history = History([*self._names, POOLED])
        self._next_index = 0
        self._in_step = False
        self._detached = False
        self._claim()

    @contextmanager
    def step(self, group: Int[Tensor, " sample"], *, epoch: int | None = None) -> Iterator[Step]:
        """Record what is backpropagated inside the block; forward belongs inside too.

        Parameters
        ----------
        group : Tensor
            Integer label of each sample of the batch: a position in `groups`, or -1.
        epoch : int, optional
            Number of the epoch, kept with the spectra.

        Yields
        ------
        Step
            Its `record` takes the loss, the loss of each group, and the epoch.

        Raises
        ------
        GroupError
            When the labels have a wrong type, shape or value.
        RowsError
            From a layer's forward, when what it sees does not have the batch where it should.
        NothingCapturedError
            When a layer received no gradient in the block.
        CaptureError
            When the recorder has been detached, or a step is open already.
        """
        if self._detached:
            raise CaptureError("the recorder has been detached from the model; make a new one")
        if self._in_step:
            raise CaptureError("a step of this recorder is open already; close it before the next")
        groups = Groups(group, self._names)
        step = Step(self._next_index, self._next_index % self._every == 0, epoch)
        self._next_index += 1
        if not step.recorded:
            yield step
            return
        self._note_batch_norm()
        capture = StepCapture(self._weights, groups, self._kinds)
        with self._intercepting(capture):
            yield step
        self._check_complete(capture)
        self._history.add(step, groups.counts, solve(capture))

    def spectra(self) -> "xr.DataTree":
        """All spectra so far.

        Returns
        -------
        xarray.DataTree
            A node a parameter, named as in ``model.named_parameters()``; packed attention weights have the children
            ``q``, ``k`` and ``v``, grouped convolutions ``block0``, ``block1`` …. A node holds ``gradient`` and the
            other kinds with dims (step, group, index), float64, descending, NaN beyond the rank that a group can have;
            its attributes are ``layer``, ``shape`` and ``route``. The root holds ``n`` (samples; step, group),
            ``finite`` (step), and ``epoch`` (-1 where unknown), ``loss`` and ``group_loss`` where they were recorded;
            the last group is ``pooled``.
        """
        from gradspec.capture._tree import spectra_tree  # xarray takes a second to import

        attrs = {
            "group_definition": "rows",
            "batch_norm_in_training": int(self._batch_norm_seen),
            "every": self._every,
            "kinds": ", ".join(self._kinds),
            "torch_version": str(torch.__version__),
        }
        return spectra_tree(self._history, self._weights, attrs)

    def report(self) -> Report:
        """Every parameter of the model: recorded by which route, or skipped and why."""
        rows = []
        for layer in self._layers:
            for weight in layer.weights:
                missing = [kind for kind in self._kinds if kind not in weight.kinds]
                rows.append(
                    ParameterReport(
                        parameter=weight.node,
                        status="captured",
                        layer=weight.layer,
                        shape="×".join(map(str, weight.shape)),
                        route=self._history.route(weight),
                        kinds=", ".join(kind for kind in self._kinds if kind in weight.kinds),
                        note=layer.agreement + (f"; no {', '.join(missing)} for this layer" if missing else ""),
                    )
                )
        for name, skipped in self._skipped.items():
            shape = "×".join(map(str, skipped.shape))
            rows.append(ParameterReport(name, "skipped", skipped.layer, shape, note=skipped.reason))
        return Report(tuple(rows))

    def detach(self) -> None:
        """Give the model up; what was recorded stays. Harmless when repeated."""
        self._detached = True
        for layer in self._layers:
            owner = _recorder_of.get(layer.module)
            if owner is not None and owner() is self:
                del _recorder_of[layer.module]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.detach()

    def _claim(self) -> None:
        """Note that the layers belong to this recorder."""
        for layer in self._layers:
            owner = _recorder_of.get(layer.module)
            if owner is not None and owner() is not None:
                raise AttachedTwiceError(f"{layer} belongs to another recorder; detach that one first")
        for layer in self._layers:
            _recorder_of[layer.module] = ref(self)

    @contextmanager
    def _intercepting(self, capture: StepCapture) -> Iterator[None]:
        """Let the forward of every layer go through the capture."""
        self._in_step = True
        for layer in self._layers:
            layer.module.forward = partial(layer.forward, capture)
        try:
            yield
        finally:
            for layer in self._layers:
                vars(layer.module).pop("forward", None)
            self._in_step = False

    def _check_complete(self, capture: StepCapture) -> None:
        silent = [weight.node for weight, captured in capture.weights.items() if captured.empty]
        if silent:
            raise NothingCapturedError(
                f"no gradient reached {', '.join(silent)} in this step: forward and backward must both run inside the "
                "step block and through the module itself (not through a compiled copy); leave layers that a step does "
                "not use out with layers=[…]"
            )

    def _note_batch_norm(self) -> None:
        if self._batch_norm_seen or not any(module.training for module in self._batch_norms):
            return
        self._batch_norm_seen = True
        warnings.warn(
            "batch normalisation in training mode makes samples of different groups meet: recorded is each group's "
            "share of the pooled gradient (definition 'rows'), not the gradient of that group's own loss",
            stacklevel=4,
        )


def _check_arguments(groups: Sequence[str], kinds: Sequence[str], every: int) -> None:
    if isinstance(groups, str) or not groups or len({*groups, POOLED}) != len(groups) + 1:
        raise CaptureError(f"groups must be different names, none of them '{POOLED}', not {groups!r}")
    if isinstance(kinds, str) or not kinds or not set(kinds) <= set(KINDS):
        raise CaptureError(f"kinds must be some of {list(KINDS)}, not {kinds!r}")
    if every < 1:
        raise CaptureError(f"every must be at least 1, not {every}")
