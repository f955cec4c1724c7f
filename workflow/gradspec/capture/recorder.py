"""`SpectraRecorder`: what a training loop sees of the capture."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from os import PathLike
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self
from weakref import WeakKeyDictionary, ref

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from gradspec.capture._alignment import align
from gradspec.capture._arguments import POOLED, check_arguments, check_choices
from gradspec.capture._checks import Checks, warn_of_small_share
from gradspec.capture._discovery import Rows, discover
from gradspec.capture._distributed import reduce_over_processes
from gradspec.capture._groups import Batch, Division, check_labels
from gradspec.capture._history import GroupBackward, History, Record, Step, check_losses
from gradspec.capture._hold import Hold, Holding
from gradspec.capture._leading import Leading
from gradspec.capture._live import Writer, write_scalars
from gradspec.capture._regroup import Kept, kept_path, read_kept, regroup
from gradspec.capture._report import ParameterReport, Report
from gradspec.capture._schedule import Budget, EveryKth, Schedule
from gradspec.capture._solver import Solver
from gradspec.capture._spectra import Problems, reduce
from gradspec.capture._step import StepCapture
from gradspec.capture.errors import AttachedTwiceError, CaptureError

if TYPE_CHECKING:
    import xarray as xr

    from gradspec.capture._file import SpectraFile

_recorder_of: "WeakKeyDictionary[nn.Module, ref[SpectraRecorder]]" = WeakKeyDictionary()


class SpectraRecorder:
    r"""Records the singular values of every layer's weight gradient, for each group of samples and pooled.

    A layer that sees rows :math:`H` (samples; samples × times; samples × positions) and back-propagated
    :math:`\Delta` has the weight gradient :math:`G = \Delta^T H = \sum_g \Delta_g^T H_g`. Recorded are
    :math:`\sigma(G_g)` of each group g and :math:`\sigma(G)`, pooled, in every recorded step. They are raw: with a
    mean-reduced loss over N samples, :math:`\sigma N / n_g` are the singular values of group g's own mean gradient; see
    `per_group_mean`.

    The layers are changed only inside `step`; outside, the model is exactly as it was.

    Parameters
    ----------
    model : nn.Module
        The model, neither wrapped nor compiled. Wrap or compile it afterwards, and train the wrapped one.
    groups : sequence of str
        Names of the groups. A sample's label is a position in this list, or -1 for one that counts only in pooled.
    layers : "auto" or sequence of str
        Names of the modules to record, or all of a known kind with trainable weights: Linear, Bilinear, Conv1d/2d/3d
        and their transposes, RNN/LSTM/GRU and their cells, MultiheadAttention (and the transformer layers of them).
    exclude : sequence of str
        Names of modules to leave out, with all that is within them.
    rows : "samples" or "sample-major" or dict
        With ``sample-major``, several rows of a sample (times, windows, regions) may have been flattened into the
        batch: layers see a multiple of the batch, sample by sample. For all layers, or by name of the module.
    sample_dim : int or dict, optional
        Which dimension of what linear layers, embeddings and layer normalisations see runs over the samples; of those
        that a dict names, by name of the module. Found out if not given: the first but in time-major transformers.
    kinds : sequence of str
        Of ``gradient``, ``activation`` (:math:`\sigma(H_g)`) and ``delta`` (:math:`\sigma(\Delta_g)`). Fused recurrent
        layers have only the first.
    every : int or "auto"
        Record one step in so many, the first included; or as many as the budget allows, which depends on how fast the
        machine is.
    budget : float
        With ``every="auto"``, the share of the time of the plain steps that recording may take.
    spectrum : "exact" or "leading" or "auto"
        With ``leading``, wide gradients on the parameter side get their leading singular values only, each with a bound
        of its error, and the Frobenius norm, for a fraction of the cost; ``auto`` takes all of those whose smaller side
        is at most 256, where that costs no more.
    leading : int
        How many; gradients that are narrower than the bases which finding them takes (120 for 16) have all.
    extras : sequence of str
        What else to record: ``embedding`` (Embedding), ``vectors`` (weights and biases of normalisations, biases of
        all layers that are recorded, whose one singular value is their norm). A normalisation or an embedding that
        `layers` names is recorded without.
    definition : "rows" or "loss"
        What the gradient of a group is where layers let samples meet, as batch normalisation in training mode does:
        its rows' share of the pooled gradient, or the gradient of its samples' share of the loss. The latter takes a
        backward pass a group, through ``step.backward(losses)``. Elsewhere they agree.
    check_rows : "first" or "every" or "never"
        Whether to compare, in the first recorded step or in every one, what was captured of one group with a backward
        pass of its samples' loss alone, which finds rows that are not in the order of the labels. It takes the time of
        a backward pass.
    keep_grams : bool or int
        Whether to keep what `regroup` needs, of every step or of one in so many: for weights on the sample side two N×N
        triangles; for those on the parameter side the gradient of every sample, which takes N times the memory of the
        gradient and up to N times the time of its computation. They are held in memory, or beside the file.
    worker : bool
        Whether to solve on a thread beside training.
    solve_on : "host" or "device"
        Where what an accelerator captured is solved: copied to the host in every step, or on the device, of which only
        singular values are copied, once some steps are solved together. The device is waited for then, by the thread
        where there is one. Steps that are kept for regrouping are solved on the host. No accelerator has run it yet.
    processes : "own" or "all"
        In distributed training, whether spectra are those of this process's own batch, or exact ones of the averaged
        gradients of all, for which the gradients of the groups are all-reduced in every recorded step.
    scaler : torch.amp.GradScaler, optional
        The scaler of the loss in mixed precision, whose scale is taken out of the spectra. A step that overflowed is
        NaN and not ``finite``.
    path : path, optional
        NetCDF file that takes the spectra while training runs, whole at every moment, in place of memory.
    flush_every : int
        Recorded steps after which the file is brought up to date, unless that would take more than a hundredth of the
        time.
    resume : bool or int
        Go on in a file that is there, after its last step; or from the step of this number on, dropping later ones.
    writer : SummaryWriter, optional
        Takes effective rank and spectral norm of each group, and the contrast of groups, as training runs.

    Raises
    ------
    CaptureError
        When an argument is wrong, the model has nothing to record, or a file is in the way.
    UnsupportedError
        When the model is wrapped or compiled, or a named layer cannot be recorded.
    AttachedTwiceError
        When a layer belongs to another recorder that has not been detached.

    Notes
    -----
    Relative to the captured H and Δ and to :math:`\sigma_1`, singular values are right to 1e-12 on the sample side (no
    more rows than inputs or outputs) and to 1e-6 on the parameter side; `report` says which layer takes which. With
    ``spectrum="leading"`` those on the parameter side are right to their bounds, which fail with a probability below
    1e-9 each, and are relative to the gradient as it was formed.

    Several uses of a layer within one step add up before the spectrum is taken. A step holds forward and backward of
    one batch, once; `accumulate` is for several. What reaches a weight other than through its layer, as a regulariser
    does, is not part of its spectrum; the first recorded step warns of it. Under autocast, H and Δ are those of low
    precision that training sees; what several uses add to the gradient of a weight is summed in its own precision.

    Steps are solved some at a time: `spectra`, `flush` and `detach` wait for all. CUDA devices are provided for, but no
    test has run on one.

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
        every: int | Literal["auto"] = 1,
        *,
        budget: float = 0.05,
        spectrum: Literal["exact", "leading", "auto"] = "exact",
        leading: int = 16,
        exclude: Sequence[str] = (),
        rows: Rows = "samples",
        sample_dim: int | Mapping[str, int] | None = None,
        extras: Sequence[str] = (),
        definition: Literal["rows", "loss"] = "rows",
        check_rows: Literal["first", "every", "never"] = "first",
        keep_grams: bool | int = False,
        worker: bool = False,
        solve_on: Literal["host", "device"] = "host",
        processes: Literal["own", "all"] = "own",
        scaler: "torch.amp.GradScaler | None" = None,
        path: str | PathLike[str] | None = None,
        flush_every: int = 100,
        resume: bool | int = False,
        writer: Writer | None = None,
    ) -> None:
        check_arguments(groups, kinds, every, budget, extras, flush_every, spectrum, leading)
        check_choices(definition, check_rows, rows, processes, kinds, keep_grams, every, solve_on)
        self._names = list(groups)
        self._kinds = tuple(kinds)
        self._every = every
        self._leading = Leading(spectrum, leading)
        self._solve_on = solve_on
        self._definition = definition
        self._keep_every = int(keep_grams)
        self._processes = processes
        self._scaler = scaler
        self._writer = writer
        self._flush_every = flush_every
        discovery = discover(model, layers, frozenset(extras), exclude, rows, sample_dim)
        self._layers = discovery.layers
        self._discovery = discovery
        self._weights = [weight for layer in self._layers for weight in layer.weights]
        self._hold = Hold(self._layers)
        self._checks = Checks(model, self._weights, definition, check_rows)
        self._saturation_seen = False
        self._history = History([*self._names, POOLED])
        self._kept: list[Kept] = []
        self._schedule: Schedule = Budget(budget) if every == "auto" else EveryKth(every)
        self._solver = Solver(worker)
        self._next_index = 0
        self._left = float("inf")
        self._n_recorded = 0
        self._in_step = False
        self._detached = False
        self._file: SpectraFile | None = None
        if path is not None:
            self._open_file(Path(path), resume)
        self._claim()
        if layers == "auto" and not exclude:
            warn_of_small_share(discovery.share(), discovery.skipped)

    @contextmanager
    def step(
        self,
        group: Int[Tensor, " sample"],
        *,
        epoch: int | None = None,
        samples: Int[Tensor, " sample"] | None = None,
        weight: Float[Tensor, " sample"] | None = None,
    ) -> Iterator[Step]:
        """Record what is backpropagated inside the block; forward belongs inside too.

        Parameters
        ----------
        group : Tensor
            Integer label of each sample of the batch: a position in `groups`, or -1.
        epoch : int, optional
            Number of the epoch, kept with the spectra.
        samples : Tensor, optional
            Number of each sample in the data set, so that `regroup` can look its label up.
        weight : Tensor, optional
            Weight of each sample in the loss, for `per_group_mean`.

        Yields
        ------
        Step
            Its `record` takes the loss, the loss of each group, and the epoch.

        Raises
        ------
        GroupError
            When the labels have a wrong type, shape or value; in a recorded step the sample numbers or the weights.
        RowsError
            From a layer's forward, when what it sees does not have the batch where it should.
        NothingCapturedError
            When a layer received no gradient in the block.
        CaptureError
            When the recorder has been detached, a step is open already, the model has been changed, or backward runs
            more than once.
        """
        entered = perf_counter()
        index = self._next_index
        if self._schedule.wants(index):
            batch = Batch(group, self._names, samples, weight, self._division(index))
        else:
            check_labels(group, self._names)
        with self._recording(epoch, entered) as (step, capture):
            if capture is None:
                yield step
                return
            step._backward = self._group_backward(capture)
            with self._capturing(capture, batch):
                yield step

    @contextmanager
    def accumulate(self, *, epoch: int | None = None) -> Iterator[Step]:
        """Record a step of several batches whose gradients add up before the optimiser steps.

        The gradients of a group are summed over the batches before their spectrum is taken.

        Parameters
        ----------
        epoch : int, optional
            Number of the epoch, kept with the spectra.

        Yields
        ------
        Step
            Its `batch` takes what `step` takes of a batch, and is opened around forward and backward of each.

        Examples
        --------
        >>> model = torch.nn.Linear(8, 2)
        >>> recorder = SpectraRecorder(model, groups=["control", "patient"])
        >>> with recorder.accumulate() as step:
        ...     for _ in range(4):
        ...         with step.batch(torch.tensor([0, 1])):
        ...             (model(torch.randn(2, 8)).square().mean() / 4).backward()
        >>> recorder.spectra()["n"].values
        array([[4, 4, 8]])
        """
        index = self._next_index
        with self._recording(epoch, perf_counter()) as (step, capture):

            @contextmanager
            def batch(group: Tensor, *, samples: Tensor | None = None, weight: Tensor | None = None) -> Iterator[None]:
                if capture is None:
                    check_labels(group, self._names)
                    yield
                    return
                opened = Batch(group, self._names, samples, weight, self._division(index))
                step._backward = self._group_backward(capture)
                with self._capturing(capture, opened):
                    yield

            step._open_batch = batch
            yield step

    def spectra(self) -> "xr.DataTree":
        """All spectra so far.

        Returns
        -------
        xarray.DataTree
            A node a parameter, named as in ``model.named_parameters()``; packed attention weights have the children
            ``q``, ``k`` and ``v``, grouped convolutions ``block0``, ``block1`` …. A node holds ``gradient`` and the
            other kinds with dims (step, group, index), float64, descending, NaN beyond the rank that a group can have;
            its attributes are ``layer``, ``shape`` and ``route``. The root holds ``n`` (samples; step, group),
            ``weight_sum`` (of the samples in the loss), ``finite`` (step), ``epoch`` (-1 where unknown), ``loss`` and
            ``group_loss`` (NaN where unknown); the last group is ``pooled``. Where only leading singular values were
            wanted, a node holds ``gradient_bound``, how far each may be off (0 where all were computed), and
            ``gradient_norm`` (step, group), the Frobenius norm.
        """
        from gradspec.capture._tree import spectra_tree  # xarray takes a second to import

        self.flush()
        if self._file is not None and self._file.path.exists():
            return self._file.read()
        return spectra_tree(self._history, self._weights, self._attrs())

    def flush(self) -> None:
        """Solve what waits, and write it to the file where there is one."""
        self._collect(everything=True)
        if self._file is not None and self._history.records:
            self._file.append(self._history, self._attrs())
            self._history.records.clear()

    def regroup(
        self,
        labels: Int[Tensor, " sample"] | Sequence[Int[Tensor, " sample"]],
        groups: Sequence[str] | None = None,
    ) -> "xr.DataTree":
        """Spectra of the kept steps with their samples in other groups, without training again.

        Exact for any grouping: permuted labels, sex, site. It costs the small solves of those steps, for parameter-side
        weights a sum over the gradients of the samples too.

        Parameters
        ----------
        labels : Tensor or sequence of Tensor
            The label of each sample of the data set, where `step` was told the numbers of the samples; or the labels of
            each kept step's samples, in the order of its batch. -1 counts in pooled only.
        groups : sequence of str, optional
            Names of the groups; those of the recorder if not given.

        Returns
        -------
        xarray.DataTree
            As `spectra` gives it, of the kept steps.

        Raises
        ------
        CaptureError
            When nothing was kept, or the labels don't fit the kept steps.
        GroupError
            When a label is none of the groups.
        """
        from gradspec.capture._tree import spectra_tree

        names = list(groups) if groups is not None else self._names
        history = History([*names, POOLED])
        history.add(regroup(self._kept_steps(), labels, names, self._kinds))
        weights = dict.fromkeys(weight for record in history.records for weight in record.solved)
        return spectra_tree(history, list(weights), {**self._attrs(), "spectrum": "exact", "regrouped": 1})

    def alignment(
        self,
        labels: Int[Tensor, " sample"] | Sequence[Int[Tensor, " sample"]],
        groups: Sequence[str] | None = None,
    ) -> "xr.DataTree":
        """How the gradient of each group lies to that of all others together, in the kept steps.

        Parameters
        ----------
        labels, groups
            As for `regroup`.

        Returns
        -------
        xarray.DataTree
            A node a parameter as in `spectra`, with dims (step, group): ``gradient_cosine``; of the principal angles
            between the spaces of the two leading left singular vectors ``output_overlap`` (mean squared cosine) and
            ``output_angle`` (the largest, degrees); ``input_overlap`` and ``input_angle`` of the right ones. NaN where
            a side has no samples, or no gradient. The root holds ``epoch``.

        Raises
        ------
        CaptureError
            When nothing was kept, or the labels don't fit the kept steps.
        GroupError
            When a label is none of the groups.
        """
        from gradspec.capture._tree import alignment_tree

        names = list(groups) if groups is not None else self._names
        steps = list(align(self._kept_steps(), labels, names))
        return alignment_tree(steps, [*names, POOLED], self._attrs())

    def report(self) -> Report:
        """Every parameter of the model: recorded by which route, or skipped and why; and the share that is recorded."""
        self._collect(everything=True)
        rows = []
        never = {w.parameter for w in self._checks.spoiled if not self._history.route(w)}
        missed = self._checks.missed | never
        for layer in self._layers:
            for weight in layer.weights:
                wide = f"; {self._leading.count} leading values" if self._leading.takes(weight.shape) else ""
                missing = [kind for kind in self._kinds if kind not in weight.kinds]
                rows.append(
                    ParameterReport(
                        parameter=weight.node,
                        status="captured" if weight.parameter not in missed else "missed",
                        layer=weight.layer,
                        shape="×".join(map(str, weight.shape)),
                        dtype=self._discovery.dtypes.get(weight.parameter, ""),
                        route=self._history.route(weight),
                        kinds=", ".join(kind for kind in self._kinds if kind in weight.kinds),
                        note=layer.agreement + wide + (f"; no {', '.join(missing)} for this layer" if missing else ""),
                    )
                )
        for name, skipped in self._discovery.skipped.items():
            shape = "×".join(map(str, skipped.shape))
            rows.append(ParameterReport(name, "skipped", skipped.layer, shape, skipped.dtype, note=skipped.reason))
        return Report(tuple(rows), self._discovery.share(without=missed))

    def detach(self) -> None:
        """Give the model up; what was recorded stays, and is in the file. Harmless when repeated."""
        if self._detached:
            return
        self._detached = True
        for layer in self._layers:
            owner = _recorder_of.get(layer.module)
            if owner is not None and owner() is self:
                del _recorder_of[layer.module]
        try:
            self.flush()
        finally:
            self._solver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.detach()

    def _kept_steps(self) -> Iterator[Kept]:
        """What was kept of steps, in their order; at least one."""
        self._collect(everything=True)
        kept = iter(self._kept) if self._file is None else read_kept(self._kept_folder, self._weights)
        first = next(kept, None)
        if first is None:
            raise CaptureError("no step was kept for regrouping; make the recorder with keep_grams=True")
        return chain([first], kept)

    def _claim(self) -> None:
        """Note that the layers belong to this recorder."""
        for layer in self._layers:
            owner = _recorder_of.get(layer.module)
            if owner is not None and owner() is not None:
                raise AttachedTwiceError(f"{layer} belongs to another recorder; detach that one first")
        for layer in self._layers:
            _recorder_of[layer.module] = ref(self)

    def _open_file(self, path: Path, resume: bool | int) -> None:
        from gradspec.capture._file import SpectraFile  # xarray takes a second to import

        self._file = SpectraFile(path, self._history.groups, self._weights, self._kinds, self._leading)
        self._kept_folder = path.with_name(f"{path.stem}.grams")
        goes_on = resume is not False
        if path.exists() and not goes_on:
            raise CaptureError(f"{path} exists; go on in it with resume=True, or move it away")
        if path.exists():
            self._next_index = self._file.resume(None if resume is True else int(resume))
            self._history.routes |= self._file.routes
        for kept in self._kept_folder.glob("step-*.npz"):
            if kept >= kept_path(self._kept_folder, self._next_index):
                kept.unlink()

    @contextmanager
    def _recording(self, epoch: int | None, entered: float) -> Iterator[tuple[Step, StepCapture | None]]:
        """A step, and the capture to fill where it is recorded."""
        if self._detached:
            raise CaptureError("the recorder has been detached from the model; make a new one")
        if self._in_step:
            raise CaptureError("a step of this recorder is open already; close it before the next")
        step = Step(self._next_index, self._schedule.wants(self._next_index), epoch)
        trained = None
        self._next_index += 1
        self._in_step = True
        try:
            if not step.recorded:
                began = perf_counter()
                yield step, None
                trained = perf_counter() - began
            else:
                self._checks.before()
                capture = StepCapture(self._weights, len(self._names), self._kinds)
                loss_scale = 1.0 if self._scaler is None else float(self._scaler.get_scale())
                with self._checks.watching():
                    yield step, capture
                self._checks.after(capture)
                check_losses(step, self._names)
                self._take(step, capture, loss_scale * step._share)
        finally:
            step._backward = step._open_batch = None
            self._in_step = False
        left = perf_counter()
        self._schedule.note(left - entered, trained, entered - self._left)
        self._left = left

    @contextmanager
    def _capturing(self, capture: StepCapture, batch: Batch) -> Iterator[None]:
        """Let the forward of every layer go through the capture."""
        capture.open(batch)
        try:
            with Holding(self._hold, capture), self._checks.watching_rows(capture):
                yield
        finally:
            capture.close()

    def _take(self, step: Step, capture: StepCapture, loss_scale: float) -> None:
        """Have the spectra of a captured step solved."""
        capture.closed = True
        if self._processes == "all":
            reduce_over_processes(capture)
        keep = self._keeps(step.index)
        capture.stays_on_device = self._solve_on == "device" and not keep
        if self._checks.is_on_accelerator and not capture.stays_on_device:
            capture.to_host()
        counts = [*capture.counts[:-1], sum(capture.counts)]
        weight_sums = [*capture.weight_sums[:-1], sum(capture.weight_sums)]

        def job(problems: Problems) -> Record:
            solved, shared = reduce(capture, problems, self._leading)
            record = Record(step, counts, weight_sums, solved, loss_scale, logits=capture.logits)
            if keep:
                record.kept = Kept.of(step, capture, shared, loss_scale)
            capture.weights.clear()  # which refer to the capture: memory is not to wait for the garbage collector
            return record

        self._n_recorded += 1
        self._solver.add(capture.condense, job)
        self._collect(everything=False)
        if self._file is not None and len(self._history.records) >= self._flush_every and self._file.is_due:
            self.flush()

    def _collect(self, everything: bool) -> None:
        """Take over what has been solved."""
        records = self._solver.collect(everything)
        self._history.add(records)
        if any(record.unknown for record in records) and not self._saturation_seen:
            self._saturation_seen = True
            warnings.warn(
                "the loss is saturated: in the precision of the loss the gradient of a group is rounding, and its "
                "spectra are NaN in such steps (compute the loss in float64, or stop training earlier)",
                stacklevel=3,
            )
        for record in records:
            if record.kept is not None:
                self._keep(record.kept)
                record.kept = None
            if self._writer is not None:
                write_scalars(self._writer, record, self._history.groups)

    def _keep(self, kept: Kept) -> None:
        if self._file is None:
            self._kept.append(kept)
        else:
            self._kept_folder.mkdir(parents=True, exist_ok=True)
            kept.save(kept_path(self._kept_folder, kept.step.index))

    def _keeps(self, index: int) -> bool:
        return self._keep_every > 0 and index % self._keep_every == 0

    def _division(self, index: int) -> Division:
        if self._definition == "loss":
            return "whole"
        return "samples" if self._keeps(index) else "groups"

    def _group_backward(self, capture: StepCapture) -> GroupBackward | None:
        """Backward of the loss of each group apart, where its gradient is defined so."""
        if self._definition == "rows":
            return None

        def backward(losses: Tensor, reduction: str) -> None:
            groups = capture.groups
            if len(losses) != groups.size:
                raise CaptureError(f"there are {len(losses)} losses, but the batch has {groups.size} samples")
            size = groups.size if reduction == "mean" else 1
            labels = torch.tensor(groups.labels, device=losses.device)
            present = [label for label, count in enumerate(groups.counts) if count]
            for label in present:
                with capture.counting_as(label):
                    share = (losses * (labels == label)).sum() / size
                    share.backward(retain_graph=label != present[-1])  # type: ignore[no-untyped-call]

        return backward

    def _attrs(self) -> dict[str, Any]:
        return {
            "group_definition": self._definition,
            "batch_norm_in_training": int(self._checks.batch_norm_seen),
            "every": self._every,
            "kinds": ", ".join(self._kinds),
            "spectrum": str(self._leading),
            "processes": self._processes,
            "torch_version": str(torch.__version__),
        }
