"""The whole workflow on small cohorts: every promised file is there, and a second run has nothing to do."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml
from browsing import WIDTHS, assert_fits, assert_pictures_load, open_page
from running import ROOT, SMALL, snakemake, write_config

from gradspec.crate import METADATA, read_summary, write_crate

BROKEN = "sub-08"


@pytest.mark.slow
class TestDemo:
    def test_a_second_run_has_nothing_to_do(self, demo: Path) -> None:
        done = snakemake(demo, "-n", "--configfile", SMALL)
        assert "Nothing to be done" in done.stdout + done.stderr

    def test_images_that_nobody_reads_any_more_are_not_made_again(self, demo: Path, workdir: Path) -> None:
        results = workdir / "results"
        shutil.copytree(demo / "results", results)
        for folder in [*(results / "bids").glob("sub-*"), *(results / "preprocess").glob("sub-*")]:
            shutil.rmtree(folder)
        arguments = ("-n", "--rerun-triggers", "mtime", "--configfile", SMALL)
        done = snakemake(workdir, *arguments, "--forcerun", "group_mask")
        planned = done.stdout + done.stderr
        assert "rule group_ica:" in planned
        assert not [rule for rule in ("simulate", "examine", "preprocess", "denoise") if f"rule {rule}_" in planned]
        shutil.rmtree(results / "preprocess" / "denoised" / "sub-01")
        done = snakemake(workdir, *arguments)
        assert "Nothing to be done" in done.stdout + done.stderr

    def test_the_tutorial_reads_the_results(self, demo: Path) -> None:
        page = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
        code = "\n".join(re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL))
        done = subprocess.run([sys.executable, "-c", code], cwd=demo, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "transformer" in done.stdout
        assert "pooled" in done.stdout

    def test_nothing_is_half_written(self, demo: Path) -> None:
        assert not list((demo / "results").rglob(".partial-*"))
        assert not list((demo / "results").rglob("*.pklz"))

    def test_every_table_has_a_sidecar_that_describes_its_columns(self, demo: Path) -> None:
        tables = [path for path in (demo / "results").rglob("*.tsv") if "benchmarks" not in path.parts]
        assert len(tables) > 30
        for path in tables:
            sidecar = yaml.safe_load(path.with_suffix(".json").read_text())
            assert set(pd.read_csv(path, sep="\t", nrows=0).columns) <= set(sidecar), path

    def test_spectra_are_those_of_every_run_step_and_group(self, demo: Path) -> None:
        for model in ("mlp", "lstm", "transformer"):
            with xr.open_datatree(demo / "results" / "spectra" / f"{model}.nc", engine="h5netcdf") as tree:
                assert tree.sizes["run_index"] == 4
                assert list(tree["group"].values) == ["control", "patient", "pooled"]
                layers = [node for node in tree.subtree if "gradient" in node.data_vars]
                assert layers
                taken = tree["n"].values > 0  # a fold with fewer batches has none in the last step
                assert taken.mean() > 0.5
                for node in layers:
                    sigma = node["gradient"].values[taken]
                    assert (sigma[:, 0] > 0).all()
                    assert not (np.diff(sigma, axis=1) > 1e-12).any()

    def test_statistics_cover_every_model_layer_and_feature(self, demo: Path) -> None:
        table = pd.read_csv(demo / "results" / "stats" / "group_differences.tsv", sep="\t")
        assert set(table["model"]) == {"mlp", "lstm", "transformer"}
        assert (table["n_runs"] == 4).all()
        tested = table.dropna(subset="p_value")
        assert tested["p_value"].between(0, 1).all()
        assert (tested["p_corrected"] >= tested["p_value"] - 1e-12).all()

    def test_the_networks_that_were_put_in_come_out(self, demo: Path) -> None:
        recovery = pd.read_csv(demo / "results" / "figures" / "recovery.tsv", sep="\t").set_index("measure")
        assert recovery.loc["map", "correlation"].mean() > 0.5
        assert recovery.loc["time course", "correlation"].mean() > 0.5

    def test_a_participant_whose_image_is_cut_short_is_left_out_with_the_reason(self, demo: Path) -> None:
        excluded = pd.read_csv(demo / "results" / "selection" / "excluded.tsv", sep="\t")
        assert excluded[["participant_id", "stage"]].values.tolist() == [[BROKEN, "cohort"]]
        assert f"{BROKEN}_task-rest_bold.nii.gz" in excluded["reason"].item()
        included = pd.read_csv(demo / "results" / "selection" / "participants.tsv", sep="\t")["participant_id"]
        assert included.tolist() == [f"sub-{number:02d}" for number in range(1, 8)]
        with xr.open_dataset(demo / "results" / "ica" / "timecourses.nc", engine="h5netcdf") as data:
            assert data["participant"].values.tolist() == included.tolist()

    def test_derivatives_are_valid_bids(self, demo: Path) -> None:
        validator = Path(sys.executable).parent / "bids-validator-deno"
        done = subprocess.run([validator, demo / "results" / "preprocess", "--json"], capture_output=True, text=True)
        issues = json.loads(done.stdout)["issues"]["issues"]
        assert [issue for issue in issues if issue["severity"] == "error"] == []

    def test_the_page_that_followed_the_run_says_that_it_has_finished(self, demo: Path) -> None:
        text = (demo / "results" / "progress.html").read_text(encoding="utf-8")
        assert re.search(r"Finished: (\d+) of \1 jobs done, 0 running, 0 waiting", text)
        stages = re.findall(r"<tr><td>(\w+)</td><td><progress", text)
        assert stages == ["cohort", "preprocess", "selection", "ica", "training", "spectra", "stats", "figures"]
        assert f"<td>{BROKEN}</td><td>cohort</td>" in text
        assert "transformer: of 4 trainings" in text
        assert 'href="report.html"' in text

    def test_the_run_wrote_a_report_that_holds_every_figure(self, demo: Path) -> None:
        text = (demo / "results" / "report.html").read_text(encoding="utf-8")
        assert "8 found" in text
        assert "<strong>7 analysed" in text
        for name in (
            "main.png",
            "overview.html",
            "spectra.png",
            "trajectories.png",
            "group_differences.png",
            "recovery.png",
            "quality_control.png",
        ):
            assert name in text

    @pytest.mark.parametrize("width", WIDTHS)
    def test_the_report_opens_in_a_browser_with_the_main_result(self, demo: Path, width: int) -> None:
        with open_page(demo / "results" / "report.html", width) as page:
            page.wait_for_selector(".overview img")
            assert "sub-08 (patient), at cohort" in page.inner_text("#app")
            assert_pictures_load(page)
            assert_fits(page)

    def test_the_provenance_names_every_job_and_hashes_every_file(
        self, demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        summary = tmp_path / "summary.tsv"
        summary.write_text(snakemake(demo, "--configfile", SMALL, "--detailed-summary").stdout)
        monkeypatch.chdir(demo)
        write_crate("results", read_summary(summary))
        graph = json.loads(Path("results", METADATA).read_text())["@graph"]
        jobs = [entity["name"] for entity in graph if entity["@id"].startswith("#job/")]
        assert jobs.count("train_folds") == 3 * 2
        assert len(jobs) == len(list(Path("results", "logs").rglob("*.log")))
        files = [entity for entity in graph if entity["@type"] == "File"]
        assert len(files) > 300
        assert all(
            len(entity["sha256"]) == 64 for entity in files if "intermediate" not in entity.get("description", "")
        )

    def test_a_template_of_other_people_stands_in_for_the_group(self, demo: Path, workdir: Path) -> None:
        shutil.copytree(demo / "results", workdir / "results")
        for stale in ("ica", "figures"):
            shutil.rmtree(workdir / "results" / stale)
        template = workdir / "template.nii.gz"
        shutil.copy(demo / "results" / "ground_truth" / "components.nii.gz", template)
        names = workdir / "names.tsv"
        names.write_text("label\tdomain\nA1\tA\nB1\tB\nA2\tA\nB2\tB\n")
        config = yaml.safe_load(Path(SMALL).read_text())
        config["ica"]["template"] = {
            "path": str(template),
            "sha256": hashlib.sha256(template.read_bytes()).hexdigest(),
            "names": str(names),
        }
        config["ica"]["dynamic"] = {"enabled": True, "window": 30.0, "taper": 0.0, "max_states": 4}
        figures = [f"results/figures/{name}.png" for name in ("recovery", "components", "dynamic_connectivity")]
        arguments = ["--cores", "1", "--rerun-triggers", "mtime", "--configfile", write_config(workdir, config)]
        done = snakemake(workdir, *arguments, "--", *figures, "results/figures/connectivity.png")
        assert done.returncode == 0, done.stderr[-4000:]
        assert not (workdir / "results" / "ica" / "components.nii.gz").exists()
        assert "interpolated linearly" in (workdir / "results/logs/ica/template_components.log").read_text()
        with xr.open_dataset(workdir / "results" / "ica" / "timecourses.nc", engine="h5netcdf") as data:
            assert data.attrs["method"] == "gig-ica"
        recovery = pd.read_csv(workdir / "results" / "figures" / "recovery.tsv", sep="\t").set_index("measure")
        assert recovery.loc["time course", "correlation"].mean() > 0.5
        pairs = pd.read_csv(workdir / "results" / "figures" / "connectivity.tsv", sep="\t")
        assert set(pairs["domain"]) == {"A", "B"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sinusoids", "gaussian-mixture"])
def test_numerical_data_go_all_the_way(workdir: Path, kind: str) -> None:
    config = {
        "cohort": {
            "source": "numerical",
            "numerical": {"kind": kind, "n_samples": 24, "n_features": 6, "n_volumes": 40},
        },
        "training": {"models": {"mlp": {}}, "folds": 2, "repeats": 2, "epochs": 3},
    }
    done = snakemake(workdir, "--cores", "1", "--configfile", write_config(workdir, config))
    assert done.returncode == 0, done.stderr[-4000:]
    assert (workdir / "results" / "figures" / "group_differences.png").stat().st_size > 5000


@pytest.mark.slow
@pytest.mark.real_data
def test_a_real_cohort_goes_from_time_courses_to_the_figures(workdir: Path, test_data: Path) -> None:
    table = test_data / "abide-nyu" / "participants.tsv"
    if not table.is_file():
        pytest.skip(f"no {table}")
    config = {
        "cohort": {
            "source": "timeseries",
            "group": {"column": "diagnosis", "levels": ["control", "autism"]},
            "covariates": ["age", "sex", "mean_fd"],
            "timeseries": {"participants": str(table)},
        },
        "training": {
            "models": {"mlp": {}},
            "folds": 2,
            "repeats": 2,
            "epochs": 5,
            "batch_size": 32,
            "validation": 0.2,
            "patience": 2,
            "checkpoint_every": 2,
            "groupings": {"sex": {"column": "sex"}, "motion": {"column": "mean_fd", "quantiles": 3}},
            "alignment": True,
        },
        "stats": {"permutation": {"regrouping": 19, "retraining": 2}, "calibration": "none"},
    }
    done = snakemake(workdir, "--cores", "2", "--configfile", write_config(workdir, config))
    assert done.returncode == 0, done.stderr[-4000:]
    results = workdir / "results"
    performance = pd.read_csv(results / "stats" / "performance.tsv", sep="\t").set_index(["model", "metric"])
    assert (performance["n_participants"] == 184).all()
    assert performance.loc[("mlp", "roc_auc"), "ci_low"] > 0.5
    assert performance.loc[("logistic", "roc_auc"), "ci_low"] > 0.5
    assert performance.loc[("svm", "roc_auc"), "ci_low"] > 0.5
    assert performance.loc[("dummy", "roc_auc"), "estimate"] == 0.5
    scores = pd.read_csv(results / "training" / "scores.tsv", sep="\t")
    pooled = scores[scores["fold"].isna()].groupby("model")["roc_auc"].mean()
    for model, area in pooled.items():
        assert performance.loc[(model, "roc_auc"), "estimate"] == pytest.approx(area)
    with xr.open_datatree(results / "training" / "mlp" / "repeat-1_fold-0" / "spectra_by-motion.nc") as spectra:
        assert spectra["group"].values.tolist() == ["1of3", "2of3", "3of3", "pooled"]
    permutations = pd.read_csv(results / "stats" / "permutations.tsv", sep="\t")
    pairs = permutations[["grouping", "by", "reference", "comparison"]].drop_duplicates()
    assert pairs["grouping"].value_counts().to_dict() == {"motion": 3, "sex": 1, "diagnosis": 1}
    assert permutations.loc[permutations["by"] == "regrouping", "p_value"].dropna().between(1 / 20, 1).all()
    features = pd.read_csv(results / "features" / "mlp.tsv", sep="\t")
    assert features["gradient_cosine"].dropna().between(-1, 1).all() and features["input_angle"].notna().any()
    assert "groups drawn by lot" in (results / "stats" / "summary.html").read_text()
