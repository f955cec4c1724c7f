"""Whatever the bytes of a file, its reader gives values or one of our own errors, and nothing else."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from makers import GRID, make_image, make_participants, save_array
from numpy.random import default_rng
from scipy.io import savemat

from gradspec.cohort.arrays import read_array
from gradspec.cohort.images import examine_image
from gradspec.cohort.tables import read_rows
from gradspec.config import resolve
from gradspec.errors import GradspecError
from gradspec.files import participant_id, read_table

EDITS = st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=6), st.integers(0, 6)), min_size=1, max_size=6)
fuzz = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


def damage(content: bytes, edits: list[tuple[float, bytes, int]]) -> bytes:
    """Put other bytes in place of some, at relative positions."""
    for where, new, removed in edits:
        place = int(where * len(content))
        content = content[:place] + new + content[place + removed :]
    return content


def survive(read, *arguments) -> None:
    try:
        read(*arguments)
    except GradspecError as error:
        assert str(error)


@pytest.mark.parametrize("suffix", [".1D", ".txt", ".tsv", ".csv", ".npy", ".mat"])
@fuzz
@given(edits=EDITS)
def test_a_damaged_array_is_read_or_refused(tmp_path: Path, suffix: str, edits: list) -> None:
    sound, path = tmp_path / f"sound{suffix}", tmp_path / f"damaged{suffix}"
    if not sound.exists():
        text = tmp_path / "sound.1D"
        save_array(text if suffix == ".txt" else sound, default_rng(0).standard_normal((4, 3)), ["a", "b", "c"])
        if suffix == ".txt":
            text.rename(sound)
    path.write_bytes(damage(sound.read_bytes(), edits))
    survive(read_array, path, "sub-01", None, "cohort.timeseries.variable")


@pytest.mark.parametrize("compressed", [False, True])
@fuzz
@given(edits=EDITS)
def test_damaged_cells_and_structures_of_matlab_are_read_or_refused(
    tmp_path: Path, compressed: bool, edits: list
) -> None:
    sound, path = tmp_path / "sound.mat", tmp_path / "damaged.mat"
    if not sound.exists():
        cell = np.empty((1, 2), object)
        cell[0, 0], cell[0, 1] = np.ones((3, 1)), "text"
        savemat(sound, {"info": {"cell": cell, "inner": {"data": np.eye(3)}, "empty": ""}}, do_compression=compressed)
    path.write_bytes(damage(sound.read_bytes(), edits))
    survive(read_array, path, "sub-01", None, "cohort.timeseries.variable")


@pytest.mark.parametrize("suffix", [".tsv", ".npy", ".mat", ".nii", ".nii.gz"])
@fuzz
@given(content=st.binary(max_size=400))
def test_noise_is_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"noise{suffix}"
    path.write_bytes(content)
    survive(read_array, path, "sub-01", None, "cohort.timeseries.variable")
    survive(examine_image, path, 4, "sub-01")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@fuzz
@given(edits=EDITS)
def test_a_damaged_image_is_read_or_refused(tmp_path: Path, suffix: str, edits: list) -> None:
    sound, path = tmp_path / "sound.nii", tmp_path / f"damaged{suffix}"
    if not sound.exists():
        make_image(sound, (*GRID, 3))
    content = damage(sound.read_bytes()[:352], edits) + sound.read_bytes()[352:]  # the header is what is believed
    path.write_bytes(gzip.compress(content) if suffix == ".nii.gz" else content)
    survive(examine_image, path, 4, "sub-01")


@fuzz
@given(edits=EDITS)
def test_a_damaged_table_is_read_or_refused(tmp_path: Path, edits: list) -> None:
    sound, path = tmp_path / "sound.tsv", tmp_path / "participants.tsv"
    if not sound.exists():
        make_participants(sound, 4)
    path.write_bytes(damage(sound.read_bytes(), edits))
    survive(read_rows, path)
    survive(read_table, path)


@fuzz
@given(st.text())
def test_any_text_is_a_safe_participant_id_or_none(text: str) -> None:
    try:
        identity = participant_id(text)
    except GradspecError:
        return
    assert identity.isascii()
    assert identity.removeprefix("sub-").isalnum()


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["cohort", "source", "ica", "training", "models", "mlp", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@fuzz
@given(st.dictionaries(st.sampled_from(["cohort", "ica", "training", "stats", "seed", "results", "x"]), TREES))
def test_any_config_is_resolved_or_refused(config: dict) -> None:
    survive(resolve, config)


def test_tags_of_yaml_run_nothing(tmp_path: Path) -> None:
    with pytest.raises(yaml.constructor.ConstructorError):
        yaml.safe_load(f"cohort: !!python/object/apply:os.mkdir [{tmp_path / 'harmed'}]")
    assert not (tmp_path / "harmed").exists()
