"""A head that is known everywhere: a formula, so that moving it needs no interpolation."""

import os
from collections.abc import Callable

import numpy as np
import pytest

os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = "1"  # sums over threads differ in the last digit

Evaluate = Callable[..., np.ndarray]
SHAPE = (30, 36, 28)
AFFINE = np.array([[-5.0, 0, 0, 72.5], [0, 5.0, 0, -87.5], [0, 0, 5.0, -67.5], [0, 0, 0, 1]])


@pytest.fixture(scope="session")
def head() -> Evaluate:
    """Give a function that images the head on a grid, after it was moved by a world matrix."""
    rng = np.random.default_rng(5)
    centres, weights = rng.normal(0, 28, (25, 3)), rng.normal(0, 300, 25)

    def evaluate(
        moved: np.ndarray | None = None, shape: tuple[int, ...] = SHAPE, affine: np.ndarray = AFFINE
    ) -> np.ndarray:
        back = np.linalg.inv(np.eye(4) if moved is None else moved)
        points = np.indices(shape).reshape(3, -1).T @ affine[:3, :3].T + affine[:3, 3]
        points = points @ back[:3, :3].T + back[:3, 3]
        radius = np.linalg.norm(points / [50, 62, 46], axis=1)
        squared = ((points[:, np.newaxis] - centres) ** 2).sum(axis=2)
        inside = 1000 + np.exp(-squared / (2 * 14**2)) @ weights
        return (inside / (1 + np.exp((radius - 1) / 0.06))).reshape(shape).astype(np.float32)

    return evaluate


@pytest.fixture(scope="session")
def brain_points() -> np.ndarray:
    """Points spread over the head, in mm."""
    points = np.random.default_rng(1).uniform(-1, 1, (2000, 3))
    return points[np.linalg.norm(points, axis=1) < 1] * [50, 62, 46]
