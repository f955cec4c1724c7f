import numpy as np
import pytest

from gradspec.errors import ParticipantError
from gradspec.preprocess.dummy_scans import count_dummy_scans


@pytest.fixture
def steady() -> np.ndarray:
    run = np.random.default_rng(0).normal(1000, 20, (6, 6, 6, 80))
    return run.astype(np.float32)


@pytest.mark.parametrize("brightness", [(), (1.4,), (1.8, 1.3, 1.15)])
def test_bright_volumes_at_the_start_are_counted(steady: np.ndarray, brightness: tuple[float, ...]) -> None:
    steady[..., : len(brightness)] *= np.array(brightness, dtype=np.float32)
    steady[..., 30] *= 1.5  # a flash later on is none
    assert count_dummy_scans(steady) == len(brightness)


def test_a_dark_first_volume_is_no_dummy_scan(steady: np.ndarray) -> None:
    steady[..., 0] *= 0.8
    assert count_dummy_scans(steady) == 0


def test_a_run_that_never_changes_has_none() -> None:
    assert count_dummy_scans(np.full((3, 3, 3, 20), 7.0, dtype=np.float32)) == 0


def test_what_is_known_is_believed_unless_nothing_is_left(steady: np.ndarray) -> None:
    assert count_dummy_scans(steady, 4) == 4
    with pytest.raises(ParticipantError, match="80 volumes, of which 79 are dummy scans"):
        count_dummy_scans(steady, 79)
