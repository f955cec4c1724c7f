"""Training loops drawn at random, trained with and without the recorder, and the slow way to their spectra."""

import copy
import io
import random
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from capture_reference import blocks, spectra_of
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm
from torch.utils.checkpoint import checkpoint

from gradspec.capture import CaptureError, SpectraRecorder

STEPS = 20
COMPARED = (0, 9, 19)
NAMES = ["control", "patient"]
BATCH, TIMES, WIDTH, CLASSES = 6, 4, 5, 3


class Last(nn.Module):
    """The output of a recurrent layer without its state, with times or without."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)[0]


class SelfAttention(nn.Module):
    """Attention of a sequence to itself."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.MultiheadAttention(WIDTH, 1, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layer(x, x, x, need_weights=False)[0]


class Channels(nn.Module):
    """A convolution over time."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.layer = nn.Conv1d(WIDTH, WIDTH, 3, padding=1, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.transpose(1, 2)).transpose(1, 2)


class Held(nn.Module):
    """A weight that a function uses, not its layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.layer.weight, self.layer.bias)


class Network(nn.Module):
    """Bodies one after another over (sample, time, feature), and a read-out of their mean."""

    def __init__(self, bodies: list[nn.Module], repeats: int, is_checkpointed: bool) -> None:
        super().__init__()
        self.bodies = nn.ModuleList(bodies)
        self.repeats = repeats
        self.is_checkpointed = is_checkpointed
        self.head = nn.Linear(WIDTH, CLASSES)
        self.side = nn.Linear(WIDTH, CLASSES)

    def forward(self, x: Tensor, with_side: bool = False) -> Tensor:
        for _ in range(self.repeats):
            for body in self.bodies:
                is_on = self.is_checkpointed and torch.is_grad_enabled()
                x = checkpoint(self._run, body, x, use_reentrant=False) if is_on else self._run(body, x)
        x = x.mean(1)
        return self.head(x) + (self.side(x) if with_side else 0)

    def _run(self, body: nn.Module, x: Tensor) -> Tensor:
        return body(x).tanh()


# Bodies that can be differentiated twice first.
BODIES: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(WIDTH, WIDTH),
    "inplace": lambda: nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(inplace=True)),
    "weight_norm": lambda: weight_norm(nn.Linear(WIDTH, WIDTH)),
    "spectral_norm": lambda: spectral_norm(nn.Linear(WIDTH, WIDTH)),
    "conv": lambda: Channels(1),
    "depthwise": lambda: Channels(WIDTH),
    "held": Held,
    "norm": lambda: nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.LayerNorm(WIDTH)),
    "attention": SelfAttention,
    "rnn": lambda: Last(nn.RNN(WIDTH, WIDTH, batch_first=True)),
    "lstm": lambda: Last(nn.LSTM(WIDTH, WIDTH, batch_first=True)),
    "gru": lambda: Last(nn.GRU(WIDTH, WIDTH, batch_first=True)),
}
TWICE = ("linear", "inplace", "weight_norm", "conv", "depthwise", "held", "norm")
ONCE_A_LOOP = (
    "forward_hook", "backward_hook", "weight_hook", "patch_before", "patch_after", "patch_in_step", "freeze", "clip",
    "checkpoint", "copy", "save", "average", "no_grad", "unused", "saliency", "gradient_norm", "weight_penalty",
    "gradient_penalty", "side_sometimes", "accumulate", "every", "keep_grams", "rest", "zero_in_step", "twice",
    "functional_call",
)  # fmt: skip


def scale_output(module: nn.Module, args: object, output: Tensor) -> Tensor:
    """Change what a layer gives."""
    return 1.5 * output


def look(module: nn.Module, gradients: object, outputs: object) -> None:
    """See the gradients of a layer."""


def halve(gradient: Tensor) -> Tensor:
    """Change what reaches a weight."""
    return 0.5 * gradient


class Lora:
    """A low-rank addition that is patched over a layer's forward, as those of image generators are."""

    def __init__(self, layer: nn.Linear) -> None:
        self.down = nn.Parameter(torch.full((1, layer.in_features), 0.1, dtype=torch.float64))
        self.org_forward = layer.forward
        layer.forward = self.forward

    def forward(self, x: Tensor) -> Tensor:
        return self.org_forward(x) + F.linear(x, self.down)


@dataclass
class Loop:
    """A training loop.

    Attributes
    ----------
    seed : int
        What it is drawn from.
    bodies : list of str
        What the network is made of.
    habits : set of str
        What the loop does beside forward and backward.
    """

    seed: int
    bodies: list[str] = field(init=False)
    habits: set[str] = field(init=False)

    def __post_init__(self) -> None:
        draw = random.Random(self.seed)
        self.habits = {habit for habit in ONCE_A_LOOP if draw.random() < 0.15}
        if draw.random() < 0.03:
            self.habits.add("compile")
            self.habits -= {"checkpoint", "gradient_penalty"}  # which dynamo cannot do without the recorder
        names = TWICE if self.habits & {"gradient_penalty"} else tuple(BODIES)
        self.bodies = draw.choices(names, k=draw.randint(1, 3))
        self.repeats = draw.choice([1, 1, 2])
        if "spectral_norm" in self.bodies:
            self.habits -= {"no_grad", "unused", "functional_call", "saliency", "accumulate"}  # more power iterations
        if set(self.bodies) & {"weight_norm", "spectral_norm"}:
            self.habits -= {"save"}  # which torch refuses

    def train(self, with_recorder: bool) -> "Result":
        """Take the steps; stop where the recorder raises an error of its own."""
        result = Result()
        torch.manual_seed(self.seed)
        network = Network([BODIES[name]() for name in self.bodies], self.repeats, "checkpoint" in self.habits).double()
        self._parameters = list(network.parameters())
        self._target: nn.Module | None = None
        self._hook(network)
        if "patch_before" in self.habits:
            self._patch(network)
        recorder = None
        if with_recorder:
            recorder = SpectraRecorder(
                network, NAMES, every=2 if "every" in self.habits else 1, keep_grams="keep_grams" in self.habits
            )
        if "patch_after" in self.habits:
            self._patch(network)
        run = torch.compile(network, backend="eager") if "compile" in self.habits else network
        optimizer = torch.optim.SGD(self._parameters, lr=0.1)
        draw = torch.Generator().manual_seed(self.seed)
        for index in range(STEPS):
            x = torch.randn(BATCH, TIMES, WIDTH, generator=draw, dtype=torch.float64)
            y = torch.randint(0, CLASSES, (BATCH,), generator=draw)
            group = torch.randint(-1 if "rest" in self.habits else 0, 2, (BATCH,), generator=draw)
            if "freeze" in self.habits:
                network.bodies[0].requires_grad_(not 5 <= index < 10)
            try:
                if with_recorder and index in COMPARED and "every" not in self.habits:
                    result.expected[index] = self._expected(network, x, y, group, index)
                self._step(network, run, recorder, optimizer, x, y, group, index)
            except CaptureError as error:
                result.error, result.failed_at = error, index
                break
        result.weights = [parameter.detach().clone() for parameter in self._parameters]
        if recorder is not None and result.error is None:
            result.spectra = recorder.spectra()
            result.nodes = {row.parameter for row in recorder.report() if row.status == "captured"}
        return result

    def _step(
        self,
        network: nn.Module,
        run: nn.Module,
        recorder: SpectraRecorder | None,
        optimizer: torch.optim.Optimizer,
        x: Tensor,
        y: Tensor,
        group: Tensor,
        index: int,
    ) -> None:
        if "zero_in_step" not in self.habits:
            optimizer.zero_grad()
        halves = [slice(0, 3), slice(3, BATCH)] if "accumulate" in self.habits else [slice(0, BATCH)]
        if recorder is None:
            blocks_of = [nullcontext() for _ in halves]
            whole = nullcontext()
        elif len(halves) == 1:
            whole, blocks_of = nullcontext(), [recorder.step(group)]
        else:
            whole, blocks_of = recorder.accumulate(), []
        with whole as step:
            blocks_of = blocks_of or [step.batch(group[half]) for half in halves]
            for half, block in zip(halves, blocks_of, strict=True):
                with block:
                    if "zero_in_step" in self.habits and half.start == 0:
                        optimizer.zero_grad()
                    self._before(network, x[half], index)
                    losses = self._losses(network, run, x[half], y[half], index)
                    loss = losses.sum() / BATCH + self._rest(network, x[half], losses)
                    if "twice" in self.habits and index == 0:
                        loss.backward(retain_graph=True)
                        self._parameters[0].grad = None  # so that a second pass is a change
                    loss.backward()
            self._after(network, index)
        if "clip" in self.habits:
            nn.utils.clip_grad_norm_(self._parameters, 0.1)
        optimizer.step()

    def _losses(self, network: nn.Module, run: nn.Module, x: Tensor, y: Tensor, index: int) -> Tensor:
        """What every sample adds to the loss."""
        with_side = "side_sometimes" not in self.habits or index % 2 == 1
        if "gradient_penalty" in self.habits:
            x = x.clone().requires_grad_()
        output = run(x, with_side)
        losses = F.cross_entropy(output, y, reduction="none")
        if "gradient_penalty" in self.habits:
            (slope,) = torch.autograd.grad(output.square().sum(), x, create_graph=True)
            losses = losses + slope.square().sum((1, 2))
        if self._target is not None:
            with torch.no_grad():
                aim = self._target(x, with_side)
            losses = losses + (output - aim).square().sum(1)
        return losses

    def _rest(self, network: Network, x: Tensor, losses: Tensor) -> Tensor | float:
        """What no sample alone adds to the loss."""
        rest: Tensor | float = 0.0
        if "weight_penalty" in self.habits:
            rest = rest + 0.01 * network.head.weight.square().sum()
        if "gradient_norm" in self.habits:
            (gradient,) = torch.autograd.grad(losses.mean(), network.head.weight, retain_graph=True)
            rest = rest + 0.01 * gradient.norm()
        return rest

    def _before(self, network: Network, x: Tensor, index: int) -> None:
        if "no_grad" in self.habits:
            with torch.no_grad():
                network(x[:2])
        if "unused" in self.habits:
            network(x.flip(1))
        if "functional_call" in self.habits and not self.habits & {"checkpoint"}:
            with torch.no_grad():
                torch.func.functional_call(network, dict(network.named_parameters()), (x,))
        if "saliency" in self.habits:
            leaf = x.clone().requires_grad_()
            torch.autograd.grad(network(leaf).sum(), leaf)
        if "patch_in_step" in self.habits and index == 2:
            self._patch(network)
        if index == 3:
            if "copy" in self.habits:
                self._target = copy.deepcopy(network)
            if "save" in self.habits:
                file = io.BytesIO()
                torch.save(network, file)
                file.seek(0)
                self._target = torch.load(file, weights_only=False)
        if "average" in self.habits and index == 4:
            self._target = torch.optim.swa_utils.AveragedModel(network)

    def _after(self, network: nn.Module, index: int) -> None:
        if "average" in self.habits and index > 4 and isinstance(self._target, torch.optim.swa_utils.AveragedModel):
            self._target.update_parameters(network)

    def _hook(self, network: Network) -> None:
        if "forward_hook" in self.habits:
            network.head.register_forward_hook(scale_output)
        if "backward_hook" in self.habits:
            network.head.register_full_backward_hook(look)
        if "weight_hook" in self.habits:
            network.head.weight.register_hook(halve)

    def _patch(self, network: Network) -> None:
        self._parameters.append(Lora(network.head).down)

    def _expected(
        self, network: nn.Module, x: Tensor, y: Tensor, group: Tensor, index: int
    ) -> dict[str, list[np.ndarray]]:
        """Singular values by a backward pass of the losses of each group, on the network, which is then restored."""
        models = [network] if self._target is None else [network, self._target]
        states, rng = [copy.deepcopy(model.state_dict()) for model in models], torch.get_rng_state()

        def restore() -> None:
            for model, state in zip(models, states, strict=True):
                model.load_state_dict(state)

        gradients = []
        handle = network.head.weight._backward_hooks
        network.head.weight._backward_hooks = None
        effective = dict(network.named_parameters())
        for label in [*range(len(NAMES)), None]:
            restore()  # what a power iteration changes
            member = torch.ones(BATCH) if label is None else group == label
            losses = self._losses(network, network, x, y, index)
            wanted = [p for p in effective.values() if p.requires_grad]
            of_group = torch.autograd.grad((losses * member).sum() / BATCH, wanted, allow_unused=True)
            by_id = dict(zip(map(id, wanted), of_group, strict=True))
            gradients.append({name: by_id[id(p)] for name, p in effective.items() if by_id.get(id(p)) is not None})
        network.head.weight._backward_hooks = handle
        restore()
        torch.set_rng_state(rng)
        gradients = [{n: g for n, g in each.items() if "parametrizations" not in n} for each in gradients]
        return spectra_of([blocks(network, of_group) for of_group in gradients])


@dataclass
class Result:
    """What became of a training."""

    weights: list[Tensor] = field(default_factory=list)
    spectra: object = None
    nodes: set[str] = field(default_factory=set)
    expected: dict[int, dict[str, list[np.ndarray]]] = field(default_factory=dict)
    error: CaptureError | None = None
    failed_at: int = -1
