"""The estimator on a group with known sources."""

from functools import partial

import nibabel as nib
import numpy as np
import pytest
from scipy.stats import skew
from sklearn.base import clone

from gradspec.errors import ConfigError, ParticipantError
from gradspec.ica.decomposition import ALGORITHMS, infomax
from gradspec.ica.group import GroupICA
from gradspec.ica.images import prepare
from gradspec.ica.matching import match_components
from gradspec.ica.participant import temporal_regression


@pytest.fixture(scope="module")
def fitted(group):
    return GroupICA(8, n_starts=5, seed=3).fit(group.images(), group.mask_images())


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_sources_are_recovered_nearly_as_if_time_courses_were_known(make_group, seed):
    truth = make_group(seed)
    ica = GroupICA(8, n_starts=3).fit(truth.images(), truth.mask_images())
    best = [temporal_regression(prepare(x), t).maps for x, t in zip(truth.signals, truth.timecourses, strict=True)]
    oracle = match_components(np.mean(best, axis=0), truth.maps)[2].mean()
    assert match_components(ica.components_, truth.maps)[2].mean() >= 0.9 * oracle
    assert ica.converged_


def test_true_sources_stand_out_from_spare_components(group):
    ica = GroupICA(12, n_starts=3).fit(group.images(), group.mask_images())
    index, _, _ = match_components(ica.components_, group.maps)
    assert set(index) == set(range(8)), "the order is by explained variance: true sources come first"


def test_maps_are_z_scored_positively_skewed_and_ordered(fitted):
    np.testing.assert_allclose(fitted.components_.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(fitted.components_.std(axis=1), 1, atol=1e-5)
    assert (skew(fitted.components_, axis=1) > 0).all()
    assert (np.diff(fitted.explained_variance_) <= 0).all()
    assert fitted.explained_variance_.sum() == pytest.approx(1, abs=0.02)


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_threads(group, fitted):
    again = GroupICA(8, n_starts=5, seed=3, n_jobs=2).fit(group.images(), group.mask_images())
    np.testing.assert_array_equal(again.components_, fitted.components_)
    np.testing.assert_array_equal(again.stability_, fitted.stability_)


def test_the_order_of_participants_and_the_seed_do_not_matter(group, fitted):
    images, masks = group.images(), group.mask_images()
    other = GroupICA(8, n_starts=5, seed=4).fit(images[::-1], masks[::-1])
    index, sign, correlation = match_components(other.components_, fitted.components_)
    assert correlation.min() > 0.999
    assert (sign == 1).all()
    assert sorted(index) == list(range(8))


def test_stability_is_high_for_true_sources(fitted):
    assert fitted.stability_.min() > 0.9
    np.testing.assert_array_equal(fitted.n_found_, 5)


def test_time_courses_are_those_that_were_mixed(group, fitted):
    index, sign, _ = match_components(fitted.components_, group.maps)
    for estimated, true in zip(fitted.transform(group.images()), group.timecourses, strict=True):
        r = [sign[k] * np.corrcoef(estimated[:, index[k]], true[:, k])[0, 1] for k in range(8)]
        assert np.mean(r) > 0.85


def test_without_masks_the_voxels_that_vary_are_decomposed(group):
    ica = GroupICA(8, n_starts=1).fit(group.images())
    np.testing.assert_array_equal(ica.mask_img_.get_fdata() > 0, group.mask)
    assert np.isnan(ica.stability_).all()


def test_it_is_an_estimator_of_scikit_learn(fitted):
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    assert not hasattr(copy, "components_")


def test_non_convergence_is_reported(group, monkeypatch, caplog):
    monkeypatch.setitem(ALGORITHMS, "infomax", partial(infomax, max_iterations=1, tolerance=1e-12))
    ica = GroupICA(8, n_starts=2, n_splits=0).fit(group.images(), group.mask_images())
    assert not ica.converged_
    assert ica.n_converged_ == 0
    assert "2 of 2 starts did not converge (the start that was kept did NOT" in caplog.text


def test_one_participant_is_refused(group):
    with pytest.raises(ConfigError, match="at least two participants, found 1 run"):
        GroupICA(4).fit(group.images()[:1], group.mask_images()[:1])


def test_as_many_masks_as_runs_are_expected(group):
    with pytest.raises(ConfigError, match="12 runs but 3 masks"):
        GroupICA(4).fit(group.images(), group.mask_images()[:3])


def test_more_components_than_the_data_support_are_refused(group):
    with pytest.raises(ConfigError, match="25 components were asked for, but the data of the group support at most 24"):
        GroupICA(25, n_subject_components=2).fit(group.images(), group.mask_images())


def test_a_run_with_fewer_volumes_than_components_is_named(group, tmp_path):
    images = group.images()
    nib.save(images[5].slicer[..., :9], tmp_path / "short.nii.gz")
    images[5] = tmp_path / "short.nii.gz"
    with pytest.raises(ParticipantError, match=r"short\.nii\.gz: 9 volumes cannot give 30 principal components"):
        GroupICA(8, n_subject_components=30).fit(images, group.mask_images())
