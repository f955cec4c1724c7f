"""Whatever a training loop does: the same weights as without the recorder and right spectra, or an error at once."""

import warnings

import numpy as np
import pytest
import torch
from capture_loops import Loop
from capture_reference import assert_spectra_equal

# Loops that end with an error are no use to anybody: most go on.
FEW = 0.3


def check(seed: int) -> bool:
    """Whether the loop was recorded to its end."""
    loop = Loop(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected, actual = loop.train(with_recorder=False), loop.train(with_recorder=True)
    if actual.error is not None:
        assert actual.failed_at == 0, (loop, actual.error)
        return False
    for first, second in zip(actual.weights, expected.weights, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-6, atol=1e-8, msg=lambda text: f"{loop}: {text}")
    for index, of_step in actual.expected.items():
        for node, per_group in of_step.items():
            if node not in actual.nodes:
                continue
            recorded = actual.spectra[node]["gradient"].values[index]
            counts = actual.spectra["n"].values[index]
            for values, of_group, count in zip(recorded, per_group, counts, strict=True):
                if count and of_group[0] > 1e-9:
                    assert np.isfinite(values[0]), (loop, node, index)
                    assert_spectra_equal(values, of_group, 1e-6)
    return True


@pytest.mark.parametrize("start", range(0, 60, 10))
def test_loops_drawn_at_random_train_as_without_the_recorder_and_have_right_spectra(start: int) -> None:
    completed = [check(seed) for seed in range(start, start + 10)]
    assert sum(completed) >= len(completed) / 2


@pytest.mark.long
@pytest.mark.parametrize("start", range(100, 2100, 100))
def test_two_thousand_loops(start: int) -> None:
    completed = [check(seed) for seed in range(start, start + 100)]
    assert np.mean(completed) >= 1 - FEW
