"""Sums over voxels: block by block and on a device they are those of the plain formulas."""

import numpy as np
import pytest

from gradspec.errors import ConfigError
from gradspec.ica.moments import ArrayMoments, TorchMoments, moments_of

# components, voxels: fewer and more voxels than a block, more components than are multiplied at a time
CASES = [(2, 50), (5, 2048), (7, 5000), (70, 3000), (140, 2500)]


def plain(unmixing, data):
    """The definitions, over whole arrays in float64."""
    sources = unmixing @ data
    n = data.shape[1]
    score = np.tanh(sources)
    log_cosh = np.log(np.cosh(sources)).sum() / n
    return (
        log_cosh,
        score @ sources.T / n,
        (1 - score**2) @ (sources**2).T / n,
        score @ data.T / n,
        1 - (score**2).mean(1),
    )


@pytest.mark.parametrize("precision", [np.float32, np.float64])
@pytest.mark.parametrize("make", [ArrayMoments, lambda data: TorchMoments(data, "cpu")], ids=["numpy", "torch"])
@pytest.mark.parametrize(("n_components", "n_voxels"), CASES)
def test_moments_are_those_of_the_formulas(n_components, n_voxels, make, precision):
    rng = np.random.default_rng(n_voxels)
    data = rng.laplace(size=(n_components, n_voxels))
    unmixing = np.linalg.qr(rng.standard_normal((n_components, n_components)))[0]
    moments = make(data.astype(precision))
    found = moments.infomax(unmixing)
    got = (found.log_cosh, found.score, found.curvature, *moments.fastica(unmixing))
    tolerance = 1e-10 if precision == np.float64 else 2e-4
    for value, expected in zip(got, plain(unmixing, data), strict=True):
        np.testing.assert_allclose(value, expected, rtol=tolerance, atol=tolerance)


def test_large_sources_do_not_overflow():
    moments = ArrayMoments(np.full((3, 100), 1e4, dtype=np.float32))
    assert moments.infomax(np.eye(3)).log_cosh == pytest.approx(3 * (1e4 - np.log(2)), rel=1e-6)


@pytest.mark.parametrize("make", [ArrayMoments, lambda data: TorchMoments(data, "cpu")], ids=["numpy", "torch"])
def test_thinning_keeps_every_few_voxels(make):
    data = np.random.default_rng(0).standard_normal((3, 101)).astype(np.float32)
    np.testing.assert_allclose(
        make(data).thinned(4).infomax(np.eye(3)).score, ArrayMoments(data[:, ::4]).infomax(np.eye(3)).score, rtol=1e-5
    )


def test_a_device_that_is_not_there_is_refused_with_what_to_do():
    with pytest.raises(ConfigError, match=r"ica\.device is cuda:77, which torch cannot use .*; set it to cpu"):
        moments_of(np.eye(3, dtype=np.float32), "cuda:77")


def test_without_torch_a_device_is_refused(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(ConfigError, match=r"needs torch; install pytorch, or set it to cpu"):
        moments_of(np.eye(3, dtype=np.float32), "cuda")
