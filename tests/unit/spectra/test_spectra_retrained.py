"""How far the groups are apart under every arrangement: logarithms by hand, halves, and what is left out."""

import numpy as np
import pytest
import xarray as xr

from gradspec.errors import ConfigError
from gradspec.files import write_dataset
from gradspec.spectra.retrained import summarise_retrained

N_ARRANGEMENTS, N_STEPS = 3, 5


def make_file(path, seed, numbers=range(N_ARRANGEMENTS), edit=lambda spectra: None):
    rng = np.random.default_rng(seed)
    spectra = -np.sort(-rng.uniform(0.5, 2.0, (len(numbers), N_STEPS, 3, 4)), axis=-1)
    edit(spectra)
    root = xr.Dataset(
        {
            "n": (("run_index", "step", "group"), np.full((len(numbers), N_STEPS, 3), 4)),
            "epoch": ("step", range(N_STEPS)),
        },
        coords={"step": range(N_STEPS), "group": ["a", "b", "pooled"], "arrangement": ("run_index", list(numbers))},
        attrs={"model": "mlp", "loss_reduction": "mean", "by": "retraining"},
    )
    node = xr.Dataset({"gradient": (("run_index", "step", "group", "index"), spectra)}, attrs={"shape": [4, 6]})
    write_dataset(xr.DataTree.from_dict({"/": root, "l.weight": node}), path)
    return spectra


def test_a_value_is_the_mean_logarithm_of_the_ratio_over_a_half_and_the_runs(tmp_path):
    spectra = [make_file(tmp_path / f"{seed}.nc", seed) for seed in (0, 1)]
    tree = summarise_retrained([tmp_path / "0.nc", tmp_path / "1.nc"])
    ratios = np.mean([np.log(each[:, :, 1] / each[:, :, 0]) for each in spectra], axis=0)
    found = tree["l.weight"]["log_ratio"]
    assert found.dims == ("arrangement", "half", "index") and tree.attrs["n_runs"] == 2
    np.testing.assert_allclose(found.values[:, 0], ratios[:, :2].mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(found.values[:, 1], ratios[:, 2:].mean(axis=1), rtol=1e-6)


def test_arrangements_may_be_shared_out_over_files(tmp_path):
    make_file(tmp_path / "b.nc", 1, numbers=[2, 3])
    make_file(tmp_path / "a.nc", 0, numbers=[0, 1])
    tree = summarise_retrained([tmp_path / "b.nc", tmp_path / "a.nc"])
    assert tree["l.weight"]["arrangement"].values.tolist() == [0, 1, 2, 3]
    with pytest.raises(ConfigError, match="were trained in 1, 2 runs"):
        summarise_retrained([tmp_path / "b.nc", tmp_path / "a.nc", tmp_path / "a.nc"])


def test_singular_values_that_are_rounding_or_missing_anywhere_are_left_out(tmp_path):
    def edit(spectra):
        spectra[1, 2, 0, 3], spectra[2, 0, 1, 2] = 1e-9, np.nan

    make_file(tmp_path / "a.nc", 0, edit=edit)
    assert summarise_retrained([tmp_path / "a.nc"])["l.weight"]["index"].values.tolist() == [0, 1]

    def vanish(spectra):
        spectra[0] = 0.0

    make_file(tmp_path / "b.nc", 0, edit=vanish)
    assert "l.weight" not in summarise_retrained([tmp_path / "b.nc"]).children
