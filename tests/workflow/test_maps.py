"""Networks on maps of the brain, from fMRIPrep's images to spectra, tests and figures: component maps and mean ALFF."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from makers import make_fmriprep, save_image
from running import make_workdir, snakemake, write_config

GRID, MASKED = (12, 13, 11), (11, 12, 10)
N_PARTICIPANTS, N_VOLUMES = 16, 80
MODELS = ("cnn3d", "on-alff")
FIGURES = ("main", "group_differences", *(f"{model}/spectra" for model in MODELS))


def make_images(root: Path) -> None:
    """Give each image three networks in the midst of noise, of which patients have the first twice as strong."""
    mask = np.zeros(GRID, np.uint8)
    mask[1:, 1:, 1:] = 1
    for path in root.rglob("*_desc-brain_mask.nii.gz"):
        save_image(path, mask)
    blocks = np.zeros((3, *GRID))
    for network, corner in enumerate(((1, 1, 1), (6, 1, 6), (1, 7, 1))):
        blocks[(network, *(slice(start, start + 5) for start in corner))] = 1
    for number, path in enumerate(sorted(root.rglob("*_bold.nii.gz"))):
        rng = np.random.default_rng(number)
        slow = np.cumsum(rng.standard_normal((N_VOLUMES + 9, 3)), axis=0)
        timecourses = slow[9:] - slow[:-9]  # of the last nine volumes: no drift
        timecourses[:, 0] *= 1 + number % 2
        signal = np.einsum("nxyz,tn->xyzt", blocks, timecourses) + rng.standard_normal((*GRID, N_VOLUMES))
        save_image(path, (500 + 5 * signal).astype(np.float32))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the results of a run with a network on the maps of either kind."""
    workdir = make_workdir(tmp_path_factory.mktemp("maps") / "clone")
    root = make_fmriprep(workdir / "derivatives", N_PARTICIPANTS, n_volumes=N_VOLUMES, grid=GRID)
    make_images(root)
    config = {
        "cohort": {
            "source": "fmriprep",
            "covariates": [],
            "fmriprep": {"root": str(root), "participants": str(root / "participants.tsv")},
        },
        "ica": {"n_components": 3, "n_starts": 2, "shrink_maps": 1},
        "training": {
            "models": {
                "cnn3d": {"channels": [4, 4]},
                "on-alff": {"class": "cnn3d", "args": {"input": "alff", "channels": [4, 4]}},
            },
            "folds": 2,
            "repeats": 2,
            "epochs": 10,
            "learning_rate": 0.003,
            "batch_size": 8,
        },
    }
    arguments = ["--cores", "2", "--configfile", write_config(workdir, config)]
    done = snakemake(workdir, *arguments, "--", *(f"results/figures/{name}.png" for name in FIGURES))
    assert done.returncode == 0, done.stderr[-4000:]
    return workdir / "results"


@pytest.mark.slow
class TestMaps:
    def test_maps_are_cut_to_the_mask_of_the_group(self, results: Path) -> None:
        for name, maps in (("maps", 3), ("alff", 1)):
            with xr.open_dataset(results / "ica" / f"{name}.nc", engine="h5netcdf") as data:
                assert data["maps"].shape == (N_PARTICIPANTS, maps, *MASKED)
                assert np.isfinite(data["maps"].values).all()

    def test_the_network_that_patients_have_twice_as_strong_is_learnt(self, results: Path) -> None:
        performance = pd.read_csv(results / "stats" / "performance.tsv", sep="\t").set_index(["model", "metric"])
        assert all(performance.loc[(model, "roc_auc"), "estimate"] > 0.8 for model in MODELS)

    def test_spectra_are_those_of_every_convolution(self, results: Path) -> None:
        for model, n_maps in zip(MODELS, (3, 1), strict=True):
            with xr.open_datatree(results / "spectra" / f"{model}.nc", engine="h5netcdf") as tree:
                shapes = {node.path: node.sizes["index"] for node in tree.subtree if "gradient" in node.data_vars}
                assert shapes["/convolutions.0.weight"] == min(4, 27 * n_maps)
                assert len(shapes) == 3
                first = tree["convolutions.0.weight"]["gradient"].values[tree["n"].values > 0]
                assert (first[:, 0] > 0).all() and not (np.diff(first, axis=1) > 1e-12).any()

    def test_figures_are_drawn_of_both(self, results: Path) -> None:
        for name in FIGURES:
            assert (results / "figures" / f"{name}.png").stat().st_size > 5000
        table = pd.read_csv(results / "figures" / "group_differences.tsv", sep="\t")
        assert set(table["model"]) == set(MODELS)
