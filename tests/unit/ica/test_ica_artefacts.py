"""Features that tell networks from artefacts."""

import nibabel as nib
import numpy as np
import pytest

from gradspec.ica.artefacts import (
    ARTEFACTS_COLUMNS,
    csf_probability,
    describe_artefacts,
    dynamic_range,
    edge_of,
    falff,
    map_fraction,
)
from gradspec.ica.timecourses import power_spectrum


def series(rng, persistence, n=4, n_volumes=150):
    noise = rng.standard_normal((n, n_volumes))
    for t in range(1, n_volumes):
        noise[:, t] += persistence * noise[:, t - 1]
    return noise


@pytest.fixture(scope="module")
def mask():
    """Return the MNI152 brain at 4 mm."""
    from nilearn.datasets import load_mni152_brain_mask

    return load_mni152_brain_mask(resolution=4)


@pytest.mark.parametrize("seed", [501, 502, 503])
def test_networks_pass_and_artefacts_are_marked_with_the_reason(mask, seed):
    rng = np.random.default_rng(seed)
    csf, edge = csf_probability(mask), edge_of(mask)
    deep = np.flatnonzero(~edge & (csf < 0.1))
    voxels = np.argwhere(np.asanyarray(mask.dataobj) > 0)

    def blob(centre):
        return 8 * np.exp(-((voxels - voxels[centre]) ** 2).sum(axis=1) / 8)

    noise = 0.5 * rng.standard_normal((5, len(csf)))
    networks = np.stack([blob(k) for k in rng.choice(deep, 2)])
    maps = noise + np.stack([*networks, 5 * edge, 5 * (csf > 0.5), blob(rng.choice(deep))])
    courses = np.stack([*(series(rng, 0.8) for _ in range(4)), series(rng, -0.3)], axis=2)
    table = describe_artefacts(maps, mask, *power_spectrum(courses, 2.0), csf)
    assert table.columns.tolist() == list(ARTEFACTS_COLUMNS)
    assert table["artefact"].tolist() == [False, False, True, True, True]
    assert table["reason"].isna().tolist() == [True, True, False, False, False]
    assert ["edge" in table["reason"][2], "csf" in table["reason"][3], table["reason"][4] == "spectrum"] == [True] * 3


def test_falff_of_a_flat_spectrum_is_the_share_of_the_band():
    frequency = np.linspace(0.005, 0.25, 50)
    flat = np.full((2, 50, 1), 1 / 50)
    np.testing.assert_allclose(falff(frequency, flat), ((frequency >= 0.01) & (frequency <= 0.1)).mean())
    slow = np.where((frequency >= 0.01) & (frequency <= 0.1), 1.0, 0)[None, :, None]
    np.testing.assert_allclose(falff(frequency, slow), 1)
    assert falff(frequency, np.zeros((1, 50, 1))) == 0


def test_dynamic_range_looks_at_higher_frequencies_only():
    spectrum = np.array([[0.0, 5.0], [3.0, 2.0], [1.0, 4.0]])
    np.testing.assert_allclose(dynamic_range(spectrum), [2.0, 3.0])


def test_a_map_without_structure_lies_everywhere_alike():
    rng = np.random.default_rng(0)
    place = rng.random(20_000)
    np.testing.assert_allclose(map_fraction(rng.standard_normal((2, 20_000)), place), place.mean(), atol=0.05)
    assert map_fraction(np.zeros((1, 50)), np.ones(50)) == 0


def test_the_edge_is_a_voxel_at_least_and_six_mm_else():
    ball = np.zeros((20, 20, 20), dtype=np.uint8)
    ball[2:18, 2:18, 2:18] = 1
    for size, shell in ((10, 1), (4, 1), (2, 2)):
        edge = np.zeros(ball.shape, dtype=bool)
        edge[ball > 0] = edge_of(nib.Nifti1Image(ball, np.diag([size] * 3 + [1])))
        inner = ball.astype(bool).copy()
        inner[: 2 + shell] = inner[18 - shell :] = inner[:, : 2 + shell] = inner[:, 18 - shell :] = False
        inner[:, :, : 2 + shell] = inner[:, :, 18 - shell :] = False
        np.testing.assert_array_equal(edge, (ball > 0) & ~inner)


def test_liquor_is_in_the_ventricles_and_not_in_deep_white_matter(mask):
    csf = np.zeros(mask.shape)
    csf[np.asanyarray(mask.dataobj) > 0] = csf_probability(mask)

    def at(x, y, z):
        return csf[tuple(np.round(np.linalg.inv(mask.affine) @ [x, y, z, 1])[:3].astype(int))]

    assert at(-6, 10, 10) > 0.3  # lateral ventricle
    assert at(-24, -20, 34) < 0.1
    assert 0.03 < csf[np.asanyarray(mask.dataobj) > 0].mean() < 0.25
