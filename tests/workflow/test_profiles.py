"""The profiles of clusters are read whole, and make few jobs of a large cohort."""

import re
from pathlib import Path

import pytest
import yaml
from makers import make_ids, make_json, make_participants
from running import CLUSTERS, ROOT, make_workdir, snakemake, write_config

PROFILES = sorted(path.name for path in (ROOT / "workflow" / "profiles").iterdir() if path.name != "default")

pytestmark = pytest.mark.skipif(
    not CLUSTERS.is_dir(),
    reason=f"no executor plugins in {CLUSTERS}: run `make test`, or install requirements-clusters.lock there",
)


def plan(workdir: Path, profile: str, *arguments: str) -> str:
    done = snakemake(
        workdir, "-n", "--profile", f"workflow/profiles/{profile}", *arguments, plugins=profile != "gpu-workstation"
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout + done.stderr


def submissions(output: str) -> dict[str, int]:
    """Count what is submitted: groups by their name, and the jobs outside of them by their rule."""
    found = re.findall(r"^(?:\[[^]]*\] Group job|rule) (\w+)", output, flags=re.MULTILINE)
    return {name: found.count(name) for name in found if name != "all"}


def make_cohort(root: Path, n: int) -> None:
    """Write the names of the files of a BIDS data set; the images are empty."""
    make_json(root / "dataset_description.json", {"Name": "empty", "BIDSVersion": "1.10.0"})
    make_participants(root / "participants.tsv", n)
    for who in make_ids(n):
        for name in (f"anat/{who}_T1w", f"func/{who}_task-rest_bold"):
            make_json(root / who / f"{name}.json", {})
            (root / who / f"{name}.nii.gz").touch()


@pytest.fixture(scope="module")
def cobre(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Make a cohort of COBRE's size, four networks, and ten folds three times; the folder and the config."""
    workdir = make_workdir(tmp_path_factory.mktemp("cobre"))
    make_cohort(workdir / "data", 157)
    config = yaml.safe_load((ROOT / "config" / "bids.yaml").read_text())
    config["cohort"]["bids"]["root"] = "data"
    config["cohort"]["covariates"] = ["age"]
    config["training"]["models"]["cnn1d"] = {}
    assert (config["training"]["folds"], config["training"]["repeats"]) == (10, 3)
    return workdir, write_config(workdir, config)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_plans_the_whole_demo(workdir: Path, profile: str) -> None:
    output = plan(workdir, profile)
    assert len(re.findall(r"^ *rule train_folds:$", output, flags=re.MULTILINE)) == 3 * 2


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_names_rules_that_there_are(profile: str) -> None:
    config = yaml.safe_load((ROOT / "workflow" / "profiles" / profile / "config.yaml").read_text())
    named = {*config.get("groups", {}), *config.get("set-resources", {})}
    named |= {name for name in re.split(", *", config.get("slurm-array-jobs", "")) if name}
    text = "".join(path.read_text() for path in (ROOT / "workflow" / "rules").glob("*.smk"))
    rules = set(re.findall(r"^rule (\w+):|^use rule \w+ as (\w+) with:", text, flags=re.MULTILINE))
    assert named <= {name for pair in rules for name in pair if name}
    assert set(config.get("group-components", {})) <= set(config.get("groups", {}).values())


def test_slurm_asks_for_two_lines_only() -> None:
    text = (ROOT / "workflow" / "profiles" / "slurm" / "config.yaml").read_text()
    edit = [line.split(":")[0].strip() for line in text.splitlines() if "EDIT:" in line]
    assert edit == ["slurm_partition", "slurm_account"]
    undocumented = [
        line for line in text.split("groups:")[0].splitlines() if re.match(r" +\w", line) and "#" not in line
    ]
    assert not undocumented


def test_a_cohort_like_cobre_is_hundreds_of_slurm_jobs(cobre: tuple[Path, str]) -> None:
    workdir, config = cobre
    jobs = submissions(plan(workdir, "slurm", "--configfile", config))
    assert jobs["participant"] == 157
    assert jobs["reduce"] == 8
    assert jobs["train_folds"] == 4 * 3
    assert jobs["spectra"] == jobs["stats"] == jobs["figures"] == 1
    assert sum(jobs.values()) < 220


@pytest.mark.parametrize(("device", "gpus"), [("cuda", 1), ("cuda:1", 1), ("cpu", 0)])
def test_training_asks_for_a_gpu_where_it_takes_one(workdir: Path, device: str, gpus: int) -> None:
    config = {
        "cohort": {"source": "numerical"},
        "training": {"models": {"mlp": {}}, "folds": 2, "repeats": 1, "device": device},
    }
    output = plan(workdir, "gpu-workstation", "--configfile", write_config(workdir, config))
    asked = re.findall(r"^rule train_folds:\n(?:    .*\n)*?    resources: .*gpu=(\d)", output, flags=re.MULTILINE)
    assert asked == [str(gpus)]
