"""Halves of the participants tell real components from spurious ones, where random starts do not."""

from itertools import pairwise

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from gradspec.errors import ConfigError
from gradspec.ica.batches import part_into_batches
from gradspec.ica.group import GroupICA
from gradspec.ica.halves import merge_parts, shuffled
from gradspec.ica.matching import match_components
from gradspec.ica.order import ORDER_COLUMNS, mdl_orders, stability_curve
from gradspec.ica.reduced import reduce_run
from gradspec.ica.reduction import merge


@pytest.mark.parametrize("n_components", [25, 35])
@pytest.mark.parametrize("seed", [21, 22, 23])
def test_real_and_spurious_components_are_told_apart(make_group, n_components, seed):
    group = make_group(seed, n_participants=16, n_volumes=80)
    ica = GroupICA(n_components, n_starts=2, seed=seed).fit(group.images(), group.mask_images())
    index, _, correlation = match_components(ica.components_, group.maps)
    real = np.isin(np.arange(n_components), index[correlation > 0.5])
    assert real.sum() == 8
    assert roc_auc_score(real, ica.reproducibility_) >= 0.95
    assert ica.stable_[real].all()


def test_the_limit_flags_and_warns(group, caplog):
    ica = GroupICA(12, n_starts=2, n_splits=4).fit(group.images(), group.mask_images())
    assert 0 < ica.stable_.sum() < 12
    assert "of 12 components are not stable" in caplog.text


def test_parts_hold_what_the_whole_holds():
    rng = np.random.default_rng(0)
    reductions = [rng.standard_normal((6, 300)) for _ in range(11)]
    whole, parts = merge_parts(iter(reductions), [1, 3, 1, 1, 1, 1, 1, 1, 1], 1000)
    assert len(parts) == 8
    norms = np.linalg.svd(np.concatenate(reductions), compute_uv=False)
    np.testing.assert_allclose(np.linalg.norm(whole, axis=1), norms, rtol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(merge(parts, 1000), axis=1), norms, rtol=1e-9)


@pytest.mark.parametrize("n_participants", [2, 3])
def test_the_smallest_groups_have_halves(make_group, n_participants):
    group = make_group(5, n_participants=n_participants)
    ica = GroupICA(6, n_starts=2, n_splits=3).fit(group.images(), group.mask_images())
    assert np.isfinite(ica.reproducibility_).all()


@pytest.mark.parametrize(
    ("n", "at_once", "n_batches"), [(10, 64, 0), (64, 64, 0), (65, 64, 8), (1000, 64, 16), (3, 2, 3)]
)
def test_large_cohorts_are_parted_into_batches(n, at_once, n_batches):
    names = [f"sub-{k:04d}" for k in range(n)]
    batches = part_into_batches(names, at_once)
    assert len(batches) == n_batches
    if batches:
        assert [name for part in batches.values() for name in part] == names
        assert all(part[0] == name for name, part in batches.items())
        sizes = [len(part) for part in batches.values()]
        assert max(sizes) <= at_once
        assert max(sizes) - min(sizes) <= 1


def test_the_curve_shows_how_many_components_are_reproducible(group):
    estimator = GroupICA(2, n_starts=2, n_splits=4)
    mask = group.mask_images()[0]
    table = stability_curve([reduce_run(image, mask) for image in group.images()], mask, [12, 6, 8], estimator)
    assert list(table.columns) == list(ORDER_COLUMNS)
    assert list(table["n_components"]) == [6, 8, 12]
    assert list(table["n_reproducible"]) == [6, 8, 8]
    assert table["reproducibility"].iloc[-1] < table["reproducibility"].iloc[1] - 0.1
    assert estimator.n_components == 2


def test_minimum_description_length_gives_a_row_a_run(group):
    pytest.importorskip("mapca", reason="mapca is not installed (the extra order brings it)")
    table = mdl_orders(group.images()[:1], group.mask_images()[0], ["sub-01"])
    assert list(table.columns) == list(ORDER_COLUMNS)
    assert 1 <= table["n_components"][0] < 60


def test_without_mapca_it_is_said_how_to_get_it(group, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "mapca", None)
    with pytest.raises(ConfigError, match=r"ica\.mdl needs the package mapca: `pip install mapca`"):
        mdl_orders(group.images()[:1], group.mask_images()[0], ["sub-01"])


def test_runs_of_a_participant_stay_together():
    names = ["a", "b", "a", "c", "b", "a"]
    order, n_runs = shuffled(names, 4)
    assert sorted(order) == list(range(6))
    drawn = [names[i] for i in order]
    first = np.cumsum([0, *n_runs])
    assert [set(drawn[a:b]) for a, b in pairwise(first)] == [{drawn[a]} for a in first[:-1]]


def test_two_runs_of_one_participant_are_no_group(group):
    with pytest.raises(ConfigError, match=r"at least two participants, found 2 run\(s\) of 1"):
        GroupICA(4).fit(group.images()[:2], group.mask_images()[:2], ["sub-01", "sub-01"])
