"""Reductions on disk: whole or not there, found by participant, and refused where they do not fit."""

import errno

import numpy as np
import pytest

from gradspec.errors import ConfigError, ParticipantError
from gradspec.ica.group import GroupICA
from gradspec.ica.mask import count_masks, group_mask
from gradspec.ica.reduced import (
    find_reductions,
    load_reduction,
    merge_files,
    participants_of,
    reduce_run,
    reduce_runs,
    save_reduction,
)


@pytest.fixture
def reduced(cohort, tmp_path):
    """Mask, folders of reductions of all participants (one of them excluded), and their names."""
    names, runs = cohort
    mask = group_mask(*count_masks([run.mask for run in runs]), 0.9)
    targets = [tmp_path / "reduced" / name for name in [*names, "sub-99"]]
    for theirs, target in zip([*([run] for run in runs), []], targets, strict=True):
        reduce_runs(theirs, mask, target, 20)
    return mask, targets, names


def test_a_job_a_participant_and_one_for_the_group_give_what_the_estimator_gives(group, reduced):
    mask, folders, names = reduced
    files = find_reductions(folders, names)
    assert [file.name for file in files] == [f"{name}_task-rest.npy" for name in names]
    ours = GroupICA(8, n_subject_components=20, n_starts=2, seed=3).fit_reduced(files, mask)
    whole = GroupICA(8, n_subject_components=20, n_starts=2, seed=3).fit(group.images(), group.mask_images())
    np.testing.assert_array_equal(ours.components_, whole.components_)
    np.testing.assert_array_equal(ours.reproducibility_, whole.reproducibility_)


def test_the_folder_of_an_excluded_participant_is_empty(reduced):
    _, folders, _ = reduced
    assert folders[-1].is_dir()
    assert not list(folders[-1].iterdir())


def test_the_participant_of_a_reduction_is_its_folder_and_a_batch_is_itself():
    found = participants_of(["ica/reduced/sub-01/sub-01_task-rest_run-2.npy", "ica/merged/sub-07.npy"])
    assert found == ["sub-01", "sub-07"]


def test_only_the_participants_that_are_asked_for_are_found(reduced):
    _, folders, names = reduced
    assert {file.parent.name for file in find_reductions(folders, names[2:5])} == set(names[2:5])


def test_batches_merged_by_their_own_jobs_give_the_same_subspace(reduced, tmp_path):
    mask, folders, names = reduced
    files = find_reductions(folders, names)
    for k in range(3):
        save_reduction(merge_files(files[4 * k : 4 * k + 4], 1000), tmp_path / f"batch-{k}.npy")
    save_reduction(merge_files([], 1000), tmp_path / "batch-3.npy")  # all of its participants were excluded
    batches = find_reductions(tmp_path / f"batch-{k}.npy" for k in range(4))
    assert len(batches) == 3
    ours = GroupICA(8, n_starts=2, n_splits=0).fit_reduced(batches, mask)
    direct = GroupICA(8, n_starts=2, n_splits=0).fit_reduced(files, mask)
    np.testing.assert_allclose(
        np.abs(np.corrcoef(ours.components_, direct.components_)[:8, 8:]).max(axis=0), 1, atol=1e-3
    )


def test_a_full_disk_is_said_with_the_room_that_is_needed_and_leaves_nothing(monkeypatch, tmp_path):
    def full(path, *_, **__):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(ConfigError, match=r"sub-01\.npy: no space left on the disk for the 4 MB .* make room"):
        save_reduction(np.zeros((10, 100_000), dtype=np.float32), tmp_path / "sub-01.npy")
    assert not list(tmp_path.iterdir())


def test_a_run_that_fails_leaves_no_folder_and_names_the_participant(cohort, group, tmp_path):
    _, runs = cohort
    runs[0].bold.write_bytes(b"no image")
    with pytest.raises(ParticipantError, match=r"sub-01: .*cannot be read as an image"):
        reduce_runs(runs[:1], group.mask_images()[0], tmp_path / "reduced" / "sub-01")
    assert not (tmp_path / "reduced" / "sub-01").exists()


def test_a_damaged_reduction_is_named(tmp_path):
    (tmp_path / "sub-01.npy").write_bytes(b"no array")
    with pytest.raises(ParticipantError, match=r"sub-01\.npy: cannot be read as a reduction"):
        load_reduction(tmp_path / "sub-01.npy")


def test_reductions_within_another_mask_are_refused(group):
    wrong = [np.zeros((5, 10), dtype=np.float32)] * 3
    with pytest.raises(ConfigError, match=r"a reduction has 10 voxels, but the mask has \d+: .* make it again"):
        GroupICA(3).fit_reduced(wrong, group.mask_images()[0])


def test_one_reduction_is_refused(group):
    with pytest.raises(ConfigError, match="at least two participants, found 1 run"):
        GroupICA(3).fit_reduced([np.zeros((5, int(group.mask.sum())), dtype=np.float32)], group.mask_images()[0])


def test_migp_keeps_the_variance_of_components(group):
    mask = group.mask_images()[0]
    white, own = (reduce_run(group.images()[0], mask, 10, form=form) for form in ("whitened", "migp"))
    np.testing.assert_allclose(white.std(axis=1), 1, atol=0.01)
    np.testing.assert_allclose(np.abs(np.diag(np.corrcoef(white, own)[:10, 10:])), 1, atol=1e-4)
    assert (np.diff(own.std(axis=1)) < 0).all()
