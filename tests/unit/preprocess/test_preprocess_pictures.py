from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from gradspec.preprocess.charts import correlate_confounds, draw_carpet, draw_confound_correlation
from gradspec.preprocess.geometry import rigid_matrix
from gradspec.preprocess.masks import brightest_class
from gradspec.preprocess.pictures import draw_before_after, draw_map, draw_registration
from gradspec.preprocess.resampling import resample_to_grid, sample, transform_points

AFFINE = np.array([[4.0, 0, 0, -40], [0, 4.0, 0, -40], [0, 0, 4.0, -40], [0, 0, 0, 1]])


@pytest.fixture
def ball() -> np.ndarray:
    points = np.indices((21, 21, 21)) - 10.0
    return np.clip(8 - np.linalg.norm(points, axis=0), 0, 4).astype(np.float32)


def coloured(path: Path) -> np.ndarray:
    """Mark the pixels that are not grey."""
    picture = imread(path)[..., :3]
    return np.ptp(picture, axis=2) > 0.2


def test_outlines_are_drawn_on_the_registration(ball: np.ndarray, tmp_path: Path) -> None:
    outline = [("brain", "#ef476f", (ball > 1).astype(np.float32))]
    draw_registration(ball, outline, AFFINE, "sub-01", tmp_path / "with.png")
    draw_registration(ball, [("brain", "#ef476f", np.full_like(ball, 0.6))], AFFINE, "sub-01", tmp_path / "bare.png")
    assert coloured(tmp_path / "with.png").sum() > 3 * coloured(tmp_path / "bare.png").sum()


def test_before_and_after_are_two_rows_of_the_same_slices(ball: np.ndarray, tmp_path: Path) -> None:
    outline = [("brain", "#ef476f", (ball > 1).astype(np.float32))]
    paths = [tmp_path / name for name in ("same.png", "moved.png", "again.png")]
    draw_before_after(ball, ball, outline, "sub-01", paths[0])
    for path in paths[1:]:
        draw_before_after(np.roll(ball, 4, axis=1), ball, outline, "sub-01", path)
    same, moved = imread(paths[0]), imread(paths[1])
    differs = np.abs(same - moved).max(axis=(1, 2)) > 0.1
    middle = len(same) // 2
    assert differs[:middle].mean() > 0.3
    assert not differs[middle + 20 :].any()
    assert paths[1].read_bytes() == paths[2].read_bytes()


def test_a_map_has_the_colour_of_its_numbers(ball: np.ndarray, tmp_path: Path) -> None:
    mask = ball > 1
    for name, values in (("flat", np.full(mask.sum(), 50.0)), ("zero", np.zeros(mask.sum()))):
        draw_map(values, mask, AFFINE, "ratio", "sub-01", tmp_path / f"{name}.png")
    flat, zero = (imread(tmp_path / f"{name}.png")[..., :3] for name in ("flat", "zero"))
    yellow = (flat[..., 0] > 0.8) & (flat[..., 2] < 0.3)
    assert yellow.mean() > 0.05
    assert not ((zero[..., 0] > 0.8) & (zero[..., 2] < 0.3))[:, : int(0.9 * zero.shape[1])].any()


def test_confounds_are_correlated_where_both_have_values(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    shared = rng.normal(size=50)
    table = pd.DataFrame(
        {
            "global_signal": 900 + shared,
            "csf": 500 - shared,
            "white_matter": np.full(50, 7.0),
            "framewise_displacement": [np.nan, *rng.random(49)],
            "motion_outlier_00": np.arange(50) == 3,
        }
    )
    found = correlate_confounds(table)
    assert list(found) == ["global_signal", "csf", "framewise_displacement"]
    assert found.loc["global_signal", "csf"] == pytest.approx(-1)
    expected = np.corrcoef(shared[1:], table["framewise_displacement"][1:])[0, 1]
    assert found.loc["global_signal", "framewise_displacement"] == pytest.approx(expected)
    draw_confound_correlation(table, "sub-01", tmp_path / "correlation.png")
    assert coloured(tmp_path / "correlation.png").mean() > 0.02


def test_a_jump_is_seen_in_the_carpet(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    brain = rng.normal(1000, 5, (60, 300)).astype(np.float32)
    table = pd.DataFrame({"framewise_displacement": [np.nan, *[0.1] * 59], "std_dvars": [np.nan, *[1.0] * 59]})
    tissues = [("grey matter", "#6b8e23", np.arange(300) < 200), ("white matter", "#b0b0b0", np.arange(300) >= 200)]
    draw_carpet(brain, tissues, table, 2.0, "sub-01", tmp_path / "still.png")
    brain[30] += 40
    draw_carpet(brain, tissues, table, 2.0, "sub-01", tmp_path / "jump.png")
    still, jump = (imread(tmp_path / f"{name}.png")[..., 0] for name in ("still", "jump"))
    carpet = slice(int(0.45 * len(still)), int(0.85 * len(still)))
    assert jump[carpet].mean(axis=0).max() > 0.95
    centre = slice(int(0.2 * still.shape[1]), int(0.8 * still.shape[1]))
    assert still[carpet, centre].mean(axis=0).max() < 0.9


def test_linear_resampling_is_that_of_points(ball: np.ndarray) -> None:
    pose = rigid_matrix(np.array([3, -2, 1, 0.1, 0.2, -0.1]), np.zeros(3))
    grid = np.diag([5.0, 5.0, 5.0, 1.0])
    grid[:3, 3] = -30
    points = np.indices((12, 12, 12)).reshape(3, -1).T * 5.0 - 30
    expected = sample(ball, AFFINE, transform_points(pose, points), order=1).reshape(12, 12, 12)
    np.testing.assert_allclose(resample_to_grid(ball, AFFINE, pose, (12, 12, 12), grid), expected, atol=1e-4)


def test_the_brightest_of_three_tissues_is_found() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, (12, 12, 12))
    image = np.where(truth > 0, 300 * truth + rng.normal(0, 20, truth.shape), 0).astype(np.float32)
    np.testing.assert_array_equal(brightest_class(image), truth == 3)
