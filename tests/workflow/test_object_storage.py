"""Results in a bucket of S3: the same tables as on disk, a second run with nothing to do, refusals in words."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from comparing import differences
from makers import make_timeseries
from running import environment, make_workdir, write_config

STORAGE = Path(os.environ.get("GRADSPEC_TEST_STORAGE", Path(sys.prefix) / "storage"))
"""Where `make test` puts the storage plugin and moto's server, beside the environment."""

PREFIX = "s3://study/first"
CONFIG: dict[str, Any] = {
    "cohort": {
        "source": "timeseries",
        "timeseries": {"participants": "cohort/participants.tsv", "repetition_time": 2.0},
    },
    "training": {"models": {"mlp": {"hidden": [4]}}, "folds": 2, "repeats": 1, "epochs": 2, "baselines": []},
    "stats": {"permutation": {"retraining": 0}},
}

FETCH = """
import sys, boto3, pathlib
client = boto3.client("s3", endpoint_url=sys.argv[1], region_name="us-east-1")
if sys.argv[2] == "make":
    client.create_bucket(Bucket="study")
else:
    for page in client.get_paginator("list_objects_v2").paginate(Bucket="study"):
        for entry in page.get("Contents", []):
            path = pathlib.Path(sys.argv[2], entry["Key"])
            path.parent.mkdir(parents=True, exist_ok=True)
            client.download_file("study", entry["Key"], str(path))
"""

pytestmark = pytest.mark.slow


class Bucket:
    """A bucket on a server of this machine."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.variables = {
            **environment(),
            **{"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing", "PYTHONPATH": str(STORAGE)},
        }

    def fetch(self, target: str) -> None:
        """Copy all that is in it into a folder; "make" makes it."""
        subprocess.run([sys.executable, "-c", FETCH, self.address, target], env=self.variables, check=True)

    def run(self, workdir: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run Snakemake with its results in the bucket."""
        provider = ("--default-storage-provider", "s3", "--default-storage-prefix", PREFIX)
        return subprocess.run(
            [
                *(sys.executable, "-m", "snakemake", "--cores", "2"),
                *(*provider, "--storage-s3-endpoint-url", self.address, *arguments),
            ],
            cwd=workdir,
            env=self.variables,
            capture_output=True,
            text=True,
        )


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    """Start a server of S3, or skip with the reason."""
    if not (STORAGE / "moto").is_dir() or not (STORAGE / "snakemake_storage_plugin_s3").is_dir():
        pytest.skip(
            f"no storage plugin and no server of S3 in {STORAGE}: run `make test`, or set GRADSPEC_TEST_STORAGE"
        )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    made = Bucket(f"http://127.0.0.1:{port}")
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", str(port)],
        env=made.variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.3)
        made.fetch("make")
        yield made
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture(scope="module")
def workdir(bucket: Bucket, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder from which a cohort was run twice: into the bucket, and onto this disk."""
    folder = make_workdir(tmp_path_factory.mktemp("bucket") / "clone")
    make_timeseries(folder / "cohort", 8)
    config = write_config(folder, CONFIG)
    done = bucket.run(folder, "--configfile", config)
    assert done.returncode == 0, done.stderr[-4000:]
    assert f"Open first: {Path('results', 'report.html')}" in done.stderr
    bucket.fetch(str(folder / "fetched"))
    (folder / "results").rename(folder / "here")
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", config]
    local = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True)
    assert local.returncode == 0, local.stderr[-4000:]
    return folder


def test_the_bucket_holds_the_bytes_that_a_disk_would_hold(workdir: Path) -> None:
    stored = workdir / "fetched" / "first" / "results"
    assert differences(stored, workdir / "results") == []
    assert (stored / "figures" / "main.png").is_file()


def test_what_is_written_about_the_run_is_here(workdir: Path) -> None:
    assert sorted(path.name for path in (workdir / "here").iterdir()) == ["progress.html", "report.html"]
    assert "Finished: " in (workdir / "here" / "progress.html").read_text(encoding="utf-8")
    assert "main.png" in (workdir / "here" / "report.html").read_text(encoding="utf-8")


def test_a_second_run_has_nothing_to_do(bucket: Bucket, workdir: Path) -> None:
    done = bucket.run(workdir, "-n", "--configfile", str(workdir / "test.yaml"))
    said = done.stdout + done.stderr
    assert "Nothing to be done" in said, said[-2000:]


def test_a_cohort_of_images_is_refused_in_words(bucket: Bucket, workdir: Path) -> None:
    done = bucket.run(workdir, "-n", "--configfile", "config/config.yaml")
    assert done.returncode != 0
    assert "cohort.source: simulated cannot have its results in a bucket" in done.stdout + done.stderr
