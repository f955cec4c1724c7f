"""What recording costs in wide layers, with all singular values and with the leading ones.

``python -m benchmarks.wide`` trains language models of characters, blocks of a transformer (four times as wide inside,
as in BERT) on the project's own pages, 16 samples of 128 tokens, on one thread. In every round the plain step,
``exact`` and ``leading`` train on the same batch; a ratio is the median over the rounds of CPU time. ``within`` is the
share of the spectra whose 16 leading values are all known to a thousandth of the largest, ``bound`` the largest of
their bounds relative to it, and ``violated`` how many values lie outside, of those that ``exact`` knows too.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read when numpy and torch are imported

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gradspec.capture import SpectraRecorder

DOCS = Path(__file__).parents[1] / "docs"
GROUPS = ("control", "patient")
WIDTHS = (128, 256, 512, 768, 1024)
N_CHARACTERS, N_SAMPLES, N_TOKENS = 128, 16, 128
# What singular values of all may be off by on the parameter side, relative to the largest.
EXACT = 1e-6

Row = dict[str, Any]


class LanguageModel(nn.Module):
    """Blocks of a transformer that tell the next character."""

    def __init__(self, width: int, n_layers: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(N_CHARACTERS, width)
        self.position = nn.Embedding(N_TOKENS, width)
        layer = nn.TransformerEncoderLayer(width, width // 64, 4 * width, dropout=0.0, batch_first=True)
        self.blocks = nn.TransformerEncoder(layer, n_layers, enable_nested_tensor=False)
        self.readout = nn.Linear(width, N_CHARACTERS)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of (sample, token)."""
        mask = nn.Transformer.generate_square_subsequent_mask(N_TOKENS)
        x = self.embedding(tokens) + self.position(torch.arange(N_TOKENS))
        return self.readout(self.blocks(x, mask=mask, is_causal=True))


class _Training:
    """A model that is trained with a kind of spectra, or without any, and the time that it took."""

    def __init__(self, width: int, n_layers: int, spectrum: str | None) -> None:
        torch.manual_seed(0)
        self._model = LanguageModel(width, n_layers)
        self._optimizer = torch.optim.Adam(self._model.parameters(), 3e-4)
        self.recorder = spectrum and SpectraRecorder(
            self._model, GROUPS, layers=_blocks(self._model), check_rows="never", spectrum=spectrum
        )
        self.seconds: list[float] = []

    def step(self, tokens: Tensor) -> None:
        start = time.process_time()
        if self.recorder:
            with self.recorder.step(torch.arange(N_SAMPLES) % 2):
                self._backward(tokens)
        else:
            self._backward(tokens)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self.seconds.append(time.process_time() - start)

    def _backward(self, tokens: Tensor) -> None:
        logits = self._model(tokens[:, :-1])
        F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten()).backward()


def measure(width: int, n_layers: int, spectra: Sequence[str], rounds: int) -> list[Row]:
    """Train one width by all methods; a row a method.

    Parameters
    ----------
    width : int
        Width of the blocks, a multiple of 64.
    n_layers : int
        How many.
    spectra : sequence of str
        Kinds of spectra, as the recorder takes them.
    rounds : int
        Steps, after a first one that warms up.
    """
    generator = torch.Generator().manual_seed(0)
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(DOCS.rglob("*.md")))
    characters = torch.tensor([min(ord(character), N_CHARACTERS - 1) for character in text])
    plain = _Training(width, n_layers, None)
    trainings = {spectrum: _Training(width, n_layers, spectrum) for spectrum in spectra}
    for _ in range(rounds + 1):
        starts = torch.randint(len(characters) - N_TOKENS, (N_SAMPLES, 1), generator=generator)
        tokens = characters[starts + torch.arange(N_TOKENS + 1)]
        for training in (plain, *trainings.values()):
            training.step(tokens)
    trees = {spectrum: training.recorder.spectra() for spectrum, training in trainings.items()}
    rows = []
    for spectrum, training in trainings.items():
        ratios = [mine / theirs for mine, theirs in zip(training.seconds[1:], plain.seconds[1:], strict=True)]
        row = {"width": width, "layers": n_layers, "spectrum": spectrum, "plain": median(plain.seconds[1:])}
        rows.append({**row, "ratio": median(ratios), **_accuracy(trees[spectrum], trees.get("exact"))})
    return rows


def _accuracy(found: Any, exact: Any) -> dict[str, float]:
    relative, n_violated = [], 0
    for node in found.subtree:
        if "gradient_bound" in node.data_vars:
            values, bounds = node["gradient"].values, node["gradient_bound"].values
            relative.append((bounds.max(-1) / values[..., 0]).ravel())
            if exact is not None:
                every = exact[node.path]["gradient"].values
                off = np.abs(values - every[..., : values.shape[-1]])
                n_violated += int((off > bounds + EXACT * every[..., :1]).sum())
    if not relative:
        return {}
    largest = np.concatenate(relative)
    return {"within": float((largest <= 1e-3).mean()), "bound": float(largest.max()), "violated": n_violated}


def _blocks(model: LanguageModel) -> list[str]:
    """Names of the modules of the blocks that are recorded."""
    kinds = (nn.Linear, nn.MultiheadAttention)
    names = [name for name, module in model.blocks.named_modules(prefix="blocks") if isinstance(module, kinds)]
    return [name for name in names if not name.endswith("self_attn.out_proj")]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, and write its rows where asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.wide", description=__doc__.split("\n")[0])
    parser.add_argument("--width", type=int, action="append", help="measure only this one; may be repeated")
    parser.add_argument("--layers", type=int, default=1, help="blocks, one above the other")
    parser.add_argument(
        "--spectrum", action="append", choices=("exact", "leading", "auto"), help="only this; may be repeated"
    )
    parser.add_argument("--rounds", type=int, default=8, help="steps of each method")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows to a file")
    options = parser.parse_args(arguments)

    torch.set_num_threads(1)
    rows = []
    print(
        f"{'width':>6}{'layers':>7}{'spectrum':>10}{'plain s':>9}{'ratio':>7}{'within':>8}{'bound':>9}{'violated':>9}"
    )
    for width in options.width or WIDTHS:
        for row in measure(width, options.layers, options.spectrum or ["exact", "leading"], options.rounds):
            rows.append(row)
            known = f"{row['within']:8.3f}{row['bound']:9.1e}{row['violated']:9}" if "within" in row else ""
            print(
                f"{width:6}{row['layers']:7}{row['spectrum']:>10}{row['plain']:9.2f}{row['ratio']:7.2f}{known}",
                flush=True,
            )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
