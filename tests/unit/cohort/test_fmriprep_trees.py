"""Trees as fMRIPrep writes them: sessions, runs, spaces, surfaces, reports, and participants who lack something."""

from pathlib import Path

import numpy as np
import pytest
from checking import examine_and_check
from makers import GRID, make_config, make_confounds, make_fmriprep, save_image

from gradspec.cohort.plan import plan_cohort

SPACE = "space-MNI152NLin2009cAsym_res-2"
SPACES = (SPACE, "space-MNI152NLin6Asym_res-2", "space-MNI152NLin6Asym_res-native", "space-T1w")


def decorate(root: Path) -> None:
    """Add what else lies in real derivatives and must not be taken for a run."""
    (root / "logs").mkdir()
    (root / "logs" / "CITATION.html").touch()
    (root / "sourcedata" / "freesurfer" / "sub-01").mkdir(parents=True)
    for folder in root.glob("sub-*"):
        (root / f"{folder.name}.html").touch()
        (folder / "figures").mkdir()
        (folder / "figures" / f"{folder.name}_task-rest_desc-carpetplot_bold.svg").touch()
        for func in folder.rglob("func"):
            for confounds in list(func.glob("*_desc-confounds_timeseries.tsv")):
                stem = confounds.name.removesuffix("_desc-confounds_timeseries.tsv")
                for ending in (
                    "hemi-L_space-fsaverage5_bold.func.gii",
                    "space-fsLR_den-91k_bold.dtseries.nii",
                    "desc-hmc_boldref.nii.gz",
                    "from-boldref_to-T1w_mode-image_desc-coreg_xfm.txt",
                    f"{SPACE}_boldref.nii.gz",
                    f"{SPACE}_desc-aparcaseg_dseg.nii.gz",
                ):
                    (func / f"{stem}_{ending}").touch()


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_fmriprep(
        tmp_path_factory.mktemp("derivatives"), 6, sessions=("pre", "post"), runs=("1", "2"), spaces=SPACES
    )
    decorate(root)
    for path in (root / "sub-03" / "ses-post" / "func").glob("*_run-2_*"):
        path.unlink()
    return root


def check(root: Path, **section: object):
    config = make_config("fmriprep", fmriprep={"root": str(root), **section})
    participants, runs = examine_and_check(config)
    assert set(plan_cohort(config).files) == set(participants["participant_id"])
    return participants.set_index("participant_id"), runs.set_index("participant_id")


def test_every_session_and_run_is_found_once(tree: Path) -> None:
    participants, runs = check(tree)
    assert list(participants["status"]) == ["included"] * 6
    assert participants["n_runs"].to_dict() == {f"sub-0{n}": 3 if n == 3 else 4 for n in range(1, 7)}
    assert list(runs.loc["sub-03", "run"]) == ["1", "1", "2"]
    assert runs["bold"].str.contains(f"_{SPACE}_desc-preproc_bold").all()
    assert runs["bold"].is_unique


def test_another_space_and_resolution_bring_their_own_masks(tree: Path) -> None:
    _, runs = check(tree, space="MNI152NLin6Asym", resolution="native", sessions=["post"], runs=[1])
    assert len(runs) == 6
    stem = tree / "sub-02/ses-post/func/sub-02_ses-post_task-rest_run-1"
    row = runs.loc["sub-02"]
    assert row["bold"] == f"{stem}_space-MNI152NLin6Asym_res-native_desc-preproc_bold.nii.gz"
    assert row["mask"] == f"{stem}_space-MNI152NLin6Asym_res-native_desc-brain_mask.nii.gz"
    assert row["confounds"] == f"{stem}_desc-confounds_timeseries.tsv"


def test_who_lacks_the_run_that_is_asked_for_is_named(tree: Path) -> None:
    participants, runs = check(tree, sessions=["post"], runs=[2])
    assert list(participants.index[participants["status"] == "excluded"]) == ["sub-03"]
    assert "no preprocessed BOLD image" in participants.loc["sub-03", "reason"]
    assert "sub-03" not in runs.index


def test_derivatives_of_several_releases_lie_side_by_side(tmp_path: Path) -> None:
    root = make_fmriprep(tmp_path, 6, spaces=("space-MNI152NLin2009cAsym",))
    func = root / "sub-02" / "func"
    (func / "sub-02_task-rest_desc-confounds_timeseries.tsv").unlink()
    make_confounds(func / "sub-02_task-rest_desc-confounds_regressors.tsv", 40)
    for path in (root / "sub-04" / "func").glob("*space-MNI*"):
        path.rename(path.with_name(path.name.replace("cAsym_", "cAsym_res-2_")))
    save_image(root / "sub-05/func/sub-05_task-rest_desc-brain_mask.nii.gz", np.ones(GRID, np.uint8))  # native space
    participants, runs = check(root)
    assert list(participants["status"]) == ["included"] * 6
    assert runs.loc["sub-02", "confounds"].endswith("desc-confounds_regressors.tsv")
    assert runs.loc["sub-04", "mask"].endswith("_res-2_desc-brain_mask.nii.gz")
    assert runs.loc["sub-05", "mask"].endswith("cAsym_desc-brain_mask.nii.gz")
