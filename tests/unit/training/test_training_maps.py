"""From images to a network that has learnt from maps of them: of the components, and of the mean ALFF."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from training_maker import LEVELS, make_fold, make_sides, train

from gradspec.cohort.runs import BoldRun
from gradspec.files import write_dataset
from gradspec.ica.images import maps_to_image, save_image
from gradspec.ica.maps import alff_maps, component_maps
from gradspec.training.samples import load_samples

N = 40
NETWORK = {"input": "maps", "channels": [8, 16], "dropout": 0.1}
AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])
INSIDE = np.zeros((12, 11, 10), dtype=bool)
INSIDE[1:-1, 1:-1, 1:-1] = True
MASK = nib.Nifti1Image(INSIDE.astype(np.uint8), AFFINE)
IDS = [f"sub-{i:02d}" for i in range(N)]
GROUPS = np.arange(N) % 2
CORNER = (np.indices(INSIDE.shape) < 6).all(axis=0)[INSIDE]  # where the groups differ


def write_component_maps(folder):
    """Maps of two components, of which patients have a stronger second one in a corner of the brain."""
    rng = np.random.default_rng(0)
    for who, group in zip(IDS, GROUPS, strict=True):
        maps = rng.standard_normal((2, INSIDE.sum())).astype(np.float32)
        maps[1, CORNER] += group
        save_image(maps_to_image(maps, MASK), folder / f"{who}_task-rest_components.nii.gz")
    return component_maps(folder, IDS, ["task-rest"] * N, MASK, shrink=2)


def write_runs(folder):
    """Noise that is slower in a corner of the brain of patients, where it has the same variance."""
    rng = np.random.default_rng(1)
    runs = []
    for who, group in zip(IDS, GROUPS, strict=True):
        signal = rng.standard_normal((40, INSIDE.sum()))
        slow = np.cumsum(signal, axis=0)
        slow /= slow.std(axis=0)
        signal = np.where(CORNER & bool(group), slow, signal).astype(np.float32)
        save_image(maps_to_image(signal, MASK), folder / f"{who}_task-rest_bold.nii.gz")
        runs.append(
            BoldRun(who, folder / f"{who}_task-rest_bold.nii.gz", mask=folder / "mask.nii.gz", repetition_time=2.0)
        )
    return alff_maps(runs, MASK, shrink=2)


@pytest.mark.parametrize(("make", "n_maps"), [(write_component_maps, 2), (write_runs, 1)])
def test_a_network_learns_from_maps_and_its_convolutions_are_recorded(make, n_maps, tmp_path):
    write_dataset(make(tmp_path), tmp_path / "maps.nc")
    participants = pd.DataFrame({"participant_id": IDS, "group": np.array(LEVELS)[GROUPS]})
    samples = load_samples(tmp_path / "maps.nc", participants, LEVELS)
    assert samples.kind == "maps" and samples.values.shape == (N, n_maps, 5, 5, 4)
    assert samples.runs.tolist() == ["task-rest"] * N and samples.groups.tolist() == GROUPS.tolist()
    assert set(make_sides(samples, 12)["test"]) == set(IDS[:12])
    trained = train(samples, make_fold("cnn3d", hyperparameters=NETWORK, epochs=20, learning_rate=0.01), n_test=12)
    assert trained.metrics.query("set == 'test'")["roc_auc"].iloc[-1] > 0.9
    assert trained.record["input"] == "maps" and trained.record["sample_shape"] == [n_maps, 5, 5, 4]
    for layer in (0, 2):
        gradient = trained.spectra[f"convolutions.{layer}.weight/gradient"]
        assert gradient.dims == ("step", "group", "index") and (gradient.isel(index=0) > 0).all()
