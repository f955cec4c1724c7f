"""Brain masks of BOLD references whose field is mostly empty."""

import numpy as np
import pytest

from gradspec.errors import ParticipantError
from gradspec.preprocess.masks import mask_bold
from gradspec.preprocess.quality import dice

AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])
SHAPE = (64, 70, 50)


def make_head(background: float = 20.0) -> tuple[np.ndarray, np.ndarray]:
    """Return a BOLD reference with a brain of 1,470 cm3 in noise, and its brain."""
    rng = np.random.default_rng(0)
    grid = np.meshgrid(*(np.linspace(-size / 2, size / 2, size) for size in SHAPE), indexing="ij")
    brain = sum((axis / radius) ** 2 for axis, radius in zip(grid, (22, 28, 21), strict=True)) < 1
    head = np.abs(rng.normal(0, background, SHAPE)) if background else np.zeros(SHAPE)
    head[brain] = rng.normal(900, 80, int(brain.sum()))
    return head.astype(np.float32), brain


def pad(image: np.ndarray, width: int) -> np.ndarray:
    return np.pad(image, width)


@pytest.mark.parametrize("width", [0, 10, 25, 40])
@pytest.mark.parametrize("stripped", [False, True])
def test_a_padded_or_stripped_image_has_the_mask_of_the_image_itself(width: int, stripped: bool) -> None:
    head, brain = make_head(background=0 if stripped else 20)
    found = mask_bold(pad(head, width), AFFINE)
    assert dice(found, pad(brain, width)) > 0.98


def test_a_large_field_of_noise_is_no_brain() -> None:
    head, brain = make_head()
    wide = np.abs(np.random.default_rng(1).normal(0, 20, [size + 60 for size in SHAPE])).astype(np.float32)
    wide[30:-30, 30:-30, 30:-30] = head
    assert dice(mask_bold(wide, AFFINE), pad(brain, 30)) > 0.98


def test_hot_voxels_are_not_taken_for_the_brain() -> None:
    head, brain = make_head()
    head[5:8, 5:8, 5:8] = 1e5
    assert dice(mask_bold(head, AFFINE), brain) > 0.98


def test_a_mask_that_is_no_brain_by_its_size_is_refused() -> None:
    head, _ = make_head()
    with pytest.raises(ParticipantError, match=r"is no brain \(11\d{3} cm3, .*\): look at the image"):
        mask_bold(head, 2 * AFFINE)


def test_an_image_without_contrast_is_refused() -> None:
    noise = np.abs(np.random.default_rng(2).normal(1000, 1, SHAPE)).astype(np.float32)
    with pytest.raises(ParticipantError, match="no brain"):
        mask_bold(noise, AFFINE)
