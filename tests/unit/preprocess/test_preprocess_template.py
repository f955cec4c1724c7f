import numpy as np
import pytest
from nilearn.datasets import load_mni152_brain_mask, load_mni152_gm_template, load_mni152_template

from gradspec.preprocess.template import dilated_brain, load_template


def test_whole_millimetres_are_the_images_of_nilearn() -> None:
    template = load_template(3.0)
    for ours, theirs in (
        (template.t1w, load_mni152_template(resolution=3)),
        (template.brain, load_mni152_brain_mask(resolution=3)),
        (template.gray_matter, load_mni152_gm_template(resolution=3)),
    ):
        np.testing.assert_array_equal(ours.affine, theirs.affine)
        np.testing.assert_array_equal(ours.get_fdata(), theirs.get_fdata())


@pytest.mark.parametrize("resolution", [3.0, 4.5, 8.0])
def test_tissues_lie_deep_in_the_brain(resolution: float) -> None:
    template = load_template(resolution)
    brain, csf, white = (image.get_fdata() > 0 for image in (template.brain, template.csf, template.white_matter))
    gray = template.gray_matter.get_fdata()
    assert np.abs(np.diag(template.t1w.affine)[:3]).tolist() == [resolution] * 3
    assert csf.sum() >= 3
    assert white.sum() > csf.sum()
    assert (brain | ~(csf | white)).all()
    assert not (csf & white).any()
    assert gray[white].mean() < 0.05
    assert gray[csf].mean() < 0.25


def test_the_rim_is_as_wide_as_asked_for() -> None:
    template = load_template(3.0)
    brain, wide = template.brain.get_fdata() > 0, dilated_brain(template, 6.0)
    assert (wide | ~brain).all()
    inside = np.argwhere(brain)
    for voxel in np.argwhere(wide & ~brain)[::500]:
        assert 3 * np.linalg.norm(inside - voxel, axis=1).min() <= 6
