"""What a job asks for grows with the data and with the attempt."""

import os
import re
from pathlib import Path

import yaml
from makers import make_bids
from running import ROOT, snakemake, write_config

LARGE = 400_000_000  # bytes


def asked(workdir: Path, config: str, *arguments: str) -> dict[str, dict[str, int]]:
    """Read from a dry run what each job asks for, by its rule and, where it has one, its participant."""
    done = snakemake(workdir, "-n", "--configfile", config, *arguments)
    assert done.returncode == 0, done.stderr
    found = {}
    for rule, text in re.findall(r"^rule (\w+):\n((?:    .*\n)+)", done.stdout + done.stderr, flags=re.MULTILINE):
        subject = re.search(r"wildcards: subject=(\S+)", text)
        resources = re.search(r"resources: (.*)", text)
        assert resources is not None
        found[f"{rule} {subject[1]}" if subject else rule] = {
            name: int(value) for name, value in re.findall(r"(mem_mb|runtime)=(\d+)", resources[1])
        }
    return found


def config_of(workdir: Path, **training: int) -> str:
    config = yaml.safe_load((ROOT / "config" / "bids.yaml").read_text())
    config["cohort"]["bids"]["root"] = "data"
    config["cohort"]["covariates"] = []
    config["training"].update(folds=2, repeats=1, **training)
    return write_config(workdir, config)


def test_a_larger_image_gets_more_memory_and_time(workdir: Path) -> None:
    root = make_bids(workdir / "data", 4)
    os.truncate(next((root / "sub-02" / "func").glob("*.nii.gz")), LARGE)  # sparse: takes no space
    jobs = asked(workdir, config_of(workdir))
    for rule in ("preprocess_participant", "denoise_participant", "reduce_participant"):
        small, large = jobs[f"{rule} sub-01"], jobs[f"{rule} sub-02"]
        assert large["mem_mb"] >= small["mem_mb"] + 0.9 * 20 * LARGE / 1e6
        assert large["runtime"] > small["runtime"]
        assert jobs[f"{rule} sub-03"] == small


def test_more_participants_and_more_recorded_steps_get_more(workdir: Path) -> None:
    def of(n: int, **training: int) -> dict[str, dict[str, int]]:
        config = {
            "cohort": {"source": "numerical", "numerical": {"n_samples": n}},
            "training": {"models": {"mlp": {}}, "folds": 2, "repeats": 1, **training},
        }
        return asked(workdir, write_config(workdir, config))

    few, many = of(40), of(4000)
    for rule in ("examine_cohort", "train_folds", "merge_spectra", "connectivity"):
        assert many[rule]["mem_mb"] > few[rule]["mem_mb"], rule
    assert of(4000, record_every=100)["merge_spectra"]["mem_mb"] < many["merge_spectra"]["mem_mb"]


def test_the_second_attempt_gets_twice_as_much(workdir: Path) -> None:
    make_bids(workdir / "data", 4)
    config = config_of(workdir)
    first, second = asked(workdir, config), asked(workdir, config, "--attempt", "2")
    for job, resources in first.items():
        if job not in ("all",):
            assert second[job]["mem_mb"] >= 2 * resources["mem_mb"] - 1, job
            assert second[job]["runtime"] >= 2 * resources["runtime"] - 1, job
