"""The record of a run."""

import json
import subprocess

import numpy as np

from gradspec.figures import environment
from gradspec.figures.environment import describe_environment, describe_git


def test_versions_are_those_that_are_installed(tmp_path):
    record = describe_environment(tmp_path)
    assert record["packages"]["numpy"] == np.__version__
    assert record["git"]["working_directory"] is None
    assert record["cpu"]
    json.dumps(record, allow_nan=False)


def test_a_package_that_is_missing_is_null_and_torch_is_not_imported_then(tmp_path, monkeypatch):
    def version(name):
        raise environment.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(environment.metadata, "version", version)
    record = describe_environment(tmp_path)
    assert set(record["packages"].values()) == {None}
    assert record["cuda"] == {"available": False, "devices": []}


def test_commit_and_changes_of_a_repository_are_seen(tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
        done = subprocess.run(
            ["git", "-C", tmp_path, *identity, *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    git("init")
    assert describe_git(tmp_path) == {"commit": None, "dirty": False}
    (tmp_path / "a").write_text("1")
    assert describe_git(tmp_path) == {"commit": None, "dirty": True}
    git("add", "a")
    git("commit", "-m", "first")
    assert describe_git(tmp_path) == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    (tmp_path / "a").write_text("2")
    assert describe_git(tmp_path)["dirty"] is True


def test_without_git_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert describe_git(tmp_path) is None
