import nibabel as nib
import numpy as np
import pytest
from nilearn.glm.first_level.design_matrix import create_cosine_drift
from nipype.algorithms.confounds import compute_noise_components, cosine_filter

from gradspec.preprocess.compcor import compcor_cosines, cosine_basis, make_compcor, most_variable

N_VOLUMES, REPETITION_TIME = 160, 2.0


@pytest.mark.parametrize("n_volumes", [60, 100, 151])
def test_cosines_are_those_of_nilearn(n_volumes: int) -> None:
    expected = create_cosine_drift(0.008, np.arange(n_volumes) * REPETITION_TIME)[:, :-1]
    np.testing.assert_allclose(cosine_basis(n_volumes, REPETITION_TIME, 0.008), expected, atol=1e-10)


def test_compcor_is_that_of_nipype() -> None:
    rng = np.random.default_rng(6)
    sources = rng.normal(size=(N_VOLUMES, 5)) * [9, 7, 5, 3.5, 2.5]
    signals = (500 + sources @ rng.normal(size=(5, 400)) + rng.normal(size=(N_VOLUMES, 400))).astype(np.float32)
    image = nib.Nifti1Image(signals.T.reshape(20, 20, 1, N_VOLUMES), np.eye(4))
    mask = nib.Nifti1Image(np.ones((20, 20, 1), dtype=np.uint8), np.eye(4))
    expected, basis, _ = compute_noise_components(
        image.get_fdata(dtype=np.float32), [mask], 5, "cosine", 0, 128, REPETITION_TIME
    )
    everywhere = np.ones(400, dtype=bool)
    found = make_compcor(signals, {"csf": everywhere, "white_matter": everywhere}, REPETITION_TIME)
    for index in range(5):
        ours, theirs = found[f"a_comp_cor_{index:02d}"], expected[:, index]
        assert abs(np.corrcoef(ours, theirs)[0, 1]) == pytest.approx(1, abs=1e-3)
    cosines = [values for name, values in found.items() if name.startswith("cosine")]
    np.testing.assert_allclose(np.column_stack(cosines), basis, atol=1e-6)
    assert np.abs(ours @ found["cosine_00"]) < 1e-5


@pytest.mark.parametrize(("n_volumes", "repetition_time"), [(30, 2.0), (60, 2.0), (64, 2.0), (200, 0.8), (443, 1.645)])
def test_the_cosines_are_those_of_fmriprep_column_for_column(n_volumes: int, repetition_time: float) -> None:
    data = np.random.default_rng(0).normal(size=(3, n_volumes))
    _, expected = cosine_filter(data, repetition_time, 128, remove_mean=True)
    found = compcor_cosines(n_volumes, repetition_time)
    assert found.shape[1] == (expected.shape[1] if expected.size else 0)
    if expected.size:
        np.testing.assert_allclose(found, expected, atol=1e-10)


def test_tissues_have_components_of_their_own() -> None:
    rng = np.random.default_rng(8)
    liquor, white = np.arange(300) < 100, (np.arange(300) >= 100) & (np.arange(300) < 200)
    waves = rng.normal(size=(N_VOLUMES, 2))
    signals = 500 + rng.normal(size=(N_VOLUMES, 300))
    signals[:, liquor] += 5 * waves[:, :1]
    signals[:, white] += 5 * waves[:, 1:]
    found = make_compcor(signals.astype(np.float32), {"csf": liquor, "white_matter": white}, REPETITION_TIME)
    assert abs(np.corrcoef(found["c_comp_cor_00"], waves[:, 0])[0, 1]) > 0.95
    assert abs(np.corrcoef(found["w_comp_cor_00"], waves[:, 1])[0, 1]) > 0.95
    assert all(np.linalg.norm(column) == pytest.approx(1) for column in found.values())


def test_the_most_variable_voxels_are_found_beneath_a_drift() -> None:
    signals = np.random.default_rng(9).normal(size=(N_VOLUMES, 1000))
    cosines = cosine_basis(N_VOLUMES, REPETITION_TIME, 1 / 128)
    signals[:, :200] += 50 * cosines[:, :1]
    signals[:, 500:520] *= 4
    expected = np.isin(np.arange(1000), np.arange(500, 520))
    np.testing.assert_array_equal(most_variable(signals, cosines, block=64), expected)
