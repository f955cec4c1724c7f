"""Groups drawn by lot: who is exchanged with whom, and spectra that are those of training on such groups."""

from dataclasses import replace

import numpy as np
import pytest
from training_maker import make_fold, make_samples, train

from gradspec.training.groupings import Grouping
from gradspec.training.permutations import permute_grouping, stack_arrangements


def sex_of(samples):
    labels = np.arange(len(samples.groups)) // 2 % 2
    labels[:2] = -1
    return Grouping("sex", ("F", "M"), labels)


def test_labels_are_exchanged_within_the_groups_that_are_learnt_and_runs_of_a_participant_keep_together():
    samples = make_samples("mlp", separation=1)
    samples = replace(samples, participants=np.repeat(samples.participants[::2], 2), groups=np.repeat([0, 1], 12))
    drawn = permute_grouping(sex_of(samples), samples, 50, seed=3)
    np.testing.assert_array_equal(drawn.permutations[0], drawn.labels)
    assert (drawn.permutations[:, :2] == -1).all()
    np.testing.assert_array_equal(drawn.permutations[:, ::2], drawn.permutations[:, 1::2])
    for group in (0, 1):
        members = (samples.groups == group) & (drawn.labels >= 0)
        assert len(set(drawn.permutations[:, members].sum(axis=1))) == 1
    assert len(np.unique(drawn.permutations, axis=0)) > 30
    again = permute_grouping(sex_of(samples), samples, 50, seed=3).permutations
    np.testing.assert_array_equal(drawn.permutations, again)
    assert (permute_grouping(sex_of(samples), samples, 50, seed=4).permutations != again).any()


def test_spectra_of_arrangements_are_those_of_each_as_a_grouping_of_its_own():
    samples = make_samples("mlp", separation=1)
    drawn = permute_grouping(sex_of(samples), samples, 2, seed=3)
    each = [Grouping(f"lot{i}", drawn.levels, labels) for i, labels in enumerate(drawn.permutations)]
    trained = train(samples, make_fold(), groupings=[drawn, *each])
    stacked = trained.permuted["sex"]
    assert set(trained.permuted) == {"sex"} and stacked.attrs["by"] == "regrouping"
    for i, one in enumerate(each):
        alone = trained.groupings[one.name]
        np.testing.assert_array_equal(stacked["n"].values[i], alone["n"].values)
        for node in alone.subtree:
            if "gradient" in node.data_vars:
                found, expected = stacked[node.path]["gradient"].values[i], node["gradient"].values
                np.testing.assert_array_equal(found[..., : expected.shape[-1]], expected)
                assert np.isnan(found[..., expected.shape[-1] :]).all()


def test_steps_that_an_arrangement_does_not_have_are_empty():
    samples = make_samples("mlp", separation=1)
    long, short = (train(samples, make_fold(epochs=epochs)).spectra for epochs in (2, 1))
    stacked = stack_arrangements([short, long], {"repeat": 0, "fold": 0, "by": "retraining"})
    n_short = len(short["step"])
    assert (stacked["n"].values[0, n_short:] == 0).all() and (stacked["n"].values[1] > 0).all()
    first = next(node for node in long.subtree if "gradient" in node.data_vars)
    assert np.isnan(stacked[first.path]["gradient"].values[0, n_short:]).all()


def test_without_permutations_there_is_nothing_to_regroup():
    from gradspec.training.permutations import regroup_permutations

    with pytest.raises(ValueError, match="sex has no permutations"):
        regroup_permutations(None, sex_of(make_samples("mlp", separation=1)), {})


def test_alignment_stands_in_the_kept_steps_of_the_spectra():
    samples = make_samples("mlp", separation=1)
    plain, aligned = (train(samples, make_fold(groupings_every=2, alignment=flag)).spectra for flag in (False, True))
    node = next(node for node in aligned.subtree if "gradient" in node.data_vars)
    np.testing.assert_allclose(node["gradient"].values, plain[node.path]["gradient"].values, rtol=1e-4, atol=1e-7)
    cosine = node["gradient_cosine"]
    assert cosine.dims == ("step", "group")
    defined = np.isfinite(cosine.values)
    np.testing.assert_array_equal(defined[:, 0], aligned["step"].values % 2 == 0)
    np.testing.assert_array_equal(cosine.values[defined[:, 0], 0], cosine.values[defined[:, 0], 1])
    assert not defined[:, 2].any() and (np.abs(cosine.values[defined]) <= 1).all()
