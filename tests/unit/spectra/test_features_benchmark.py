"""The benchmark of the features compares like with like."""

from importlib import import_module

import numpy as np
import pytest
from running import ROOT

from gradspec.spectra.features import FEATURES


@pytest.mark.parametrize("length", [3, 8, 33])
def test_the_loop_gives_every_feature_the_same(length, monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    benchmark = import_module("benchmarks.features")
    spectra = benchmark.draw_spectra(20, length)
    assert spectra.shape == (20, length)
    assert (np.diff(spectra, axis=-1) <= 0).all()
    assert set(benchmark.loop(spectra)[0]) == set(FEATURES)
    benchmark.check(spectra)
