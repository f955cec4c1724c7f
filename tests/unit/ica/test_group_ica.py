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


def test_components_of_some_participants_are_projected_onto_others(make_group):
    truth = make_group(31, n_participants=14)
    ica = GroupICA(8, n_starts=2, n_splits=0).fit(truth.images()[:10], truth.mask_images()[:10])
    index, sign, _ = match_components(ica.components_, truth.maps)
    for estimated, true in zip(ica.transform(truth.images()[10:]), truth.timecourses[10:], strict=True):
        r = [sign[k] * np.corrcoef(estimated[:, index[k]], true[:, k])[0, 1] for k in range(8)]
        assert np.mean(r) > 0.8


@pytest.mark.parametrize(
    "options",
    [
        {"form": "migp"},
        {"algorithm": "runica"},
        {"algorithm": "fastica"},
        {"resampling": "bootstrap"},
        {"resampling": "both"},
    ],
    ids=lambda options: "-".join(options.values()),
)
def test_every_variant_recovers_the_sources(group, options):
    ica = GroupICA(8, n_starts=4, n_splits=0, **options).fit(group.images(), group.mask_images())
    assert match_components(ica.components_, group.maps)[2].mean() > 0.85
    assert ica.stability_.min() > 0.8


def test_runs_on_another_grid_are_refused_or_resampled(group, caplog):
    images, masks = group.images(), group.mask_images()
    shifted = images[0].affine.copy()
    shifted[0, 3] += 0.5
    images[4] = nib.Nifti1Image(np.asarray(images[4].dataobj), shifted)
    with pytest.raises(ParticipantError, match=r"voxel grid .* differs .* set ica\.grids to resample"):
        GroupICA(8).fit(images, masks)
    ica = GroupICA(8, n_starts=2, n_splits=0, resample=True).fit(images, masks)
    assert "resampled from the grid" in caplog.text
    assert match_components(ica.components_, group.maps)[2].mean() > 0.85


def test_the_same_run_twice_adds_no_directions(group):
    images, masks = [group.images()[0]] * 2, group.mask_images()[:2]
    with pytest.raises(ConfigError, match="13 components were asked for, but the data of the group support at most 12"):
        GroupICA(13, n_subject_components=12).fit(images, masks)


def test_constant_voxels_count_as_zero(group):
    images = group.images()
    for image in images:
        np.asarray(image.dataobj)[8, 8, 8] = 7
    ica = GroupICA(8, n_starts=2, n_splits=0).fit(images, group.mask_images())
    assert np.isfinite(ica.components_).all()


def test_values_that_are_not_finite_are_refused_with_the_file(group, tmp_path):
    images = group.images()
    np.asarray(images[3].dataobj)[8, 8, 8, 2] = np.nan
    nib.save(images[3], tmp_path / "bad.nii.gz")
    images[3] = tmp_path / "bad.nii.gz"
    with pytest.raises(ParticipantError, match=r"bad\.nii\.gz: 1 voxels .* not finite"):
        GroupICA(8).fit(images, group.mask_images())


@pytest.mark.parametrize("options", [{"form": "other"}, {"algorithm": "jade"}, {"resampling": "none"}])
def test_an_unknown_method_is_refused_with_the_known_ones(group, options):
    with pytest.raises(ConfigError, match=r"form must be one of whitened, migp, algorithm of infomax"):
        GroupICA(8, **options).fit(group.images(), group.mask_images())
