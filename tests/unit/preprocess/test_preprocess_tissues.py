from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nipype.pipeline.engine import Workflow

from gradspec.preprocess.anatomical import init_segmentation_wf
from gradspec.preprocess.ants import ants_on_path
from gradspec.preprocess.quality import dice
from gradspec.preprocess.template import dilated_brain, load_template, load_template_epi
from gradspec.preprocess.tissues import DEPTH_OF_VENTRICLES, LABELS, erode_tissues, name_classes

TURN = [[0, -1], [1, 1], [2, 1]]
"""The first axis stored the other way round."""


def test_classes_are_named_by_their_brightness_in_any_order() -> None:
    classes = np.array([[[0, 1, 2, 3]]], dtype=np.uint8)
    named = name_classes(classes, np.array([[[0.0, 90.0, 10.0, 50.0]]]))
    assert named.ravel().tolist() == [0, LABELS["white_matter"], LABELS["csf"], LABELS["gray_matter"]]


def test_only_the_inside_of_a_tissue_is_left() -> None:
    tissues = np.full((61, 61, 61), LABELS["gray_matter"], dtype=np.uint8)
    tissues[[0, -1]] = 0
    tissues[1:3] = LABELS["csf"]  # liquor outside
    tissues[26:33, 26:33, 26:33] = LABELS["csf"]
    tissues[40:52, 20:40, 20:40] = LABELS["white_matter"]
    parts = erode_tissues(tissues, np.ones(3))
    assert parts["csf"].sum() == 3**3
    assert parts["csf"][28:31, 28:31, 28:31].all()
    assert parts["white_matter"].sum() == 4 * 12 * 12
    assert DEPTH_OF_VENTRICLES < 26


def test_the_template_looks_like_a_bold_reference() -> None:
    template, image = load_template(4.0), load_template_epi(4.0).get_fdata()
    liquor, gray, white = (
        np.median(image[mask])
        for mask in (
            template.csf.get_fdata() > 0,
            template.gray_matter.get_fdata() > 0.8,
            template.white_matter.get_fdata() > 0,
        )
    )
    assert liquor > gray > white > 0
    assert dice(image > 0.1, template.brain.get_fdata() > 0) > 0.95


@pytest.mark.parametrize("turned", [False, True])
def test_atropos_finds_the_tissues_of_the_template(tmp_path: Path, turned: bool) -> None:
    template = load_template(4.0)
    inside, affine = dilated_brain(template), template.brain.affine
    brain = template.t1w.get_fdata(dtype=np.float32) * (template.brain.get_fdata() > 0)
    images = {"brain": brain, "mask": template.brain.get_fdata().astype(np.uint8)}
    for name, data in images.items():
        image = nib.Nifti1Image(data, affine)
        nib.save(image.as_reoriented(TURN) if turned else image, tmp_path / f"{name}.nii")
    np.save(tmp_path / "points.npy", np.argwhere(inside) @ affine[:3, :3].T + affine[:3, 3])
    segmentation = init_segmentation_wf(4.0)
    workflow = Workflow(name="tissues", base_dir=str(tmp_path / "work"))
    workflow.add_nodes([segmentation])
    segmentation.inputs.inputnode.brain = str(tmp_path / "brain.nii")
    segmentation.inputs.inputnode.mask = str(tmp_path / "mask.nii")
    segmentation.inputs.inputnode.points = str(tmp_path / "points.npy")
    workflow.config["execution"]["remove_unnecessary_outputs"] = "false"
    with ants_on_path(tmp_path / "ants"):
        graph = workflow.run(plugin="Linear")
    (mapped,) = (node for node in graph.nodes() if node.name == "tissues_to_template")
    tissues = np.asarray(nib.load(mapped.result.outputs.out_file).dataobj)
    tissues = tissues[::-1] if turned else tissues
    assert dice(tissues == LABELS["gray_matter"], template.gray_matter.get_fdata() > 0.5) > 0.7
    for name in ("csf", "white_matter"):
        found = np.asarray(nib.load(getattr(mapped.result.outputs, name)).dataobj) > 0
        expected = getattr(template, name).get_fdata() > 0
        assert found[expected].mean() > 0.95
        assert found.sum() < (tissues == LABELS[name]).sum() / 2
        assert (tissues == LABELS[name])[found].all()
