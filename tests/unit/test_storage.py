"""Runs whose jobs would not find their files in a bucket are refused before anything runs."""

import pytest

from gradspec.config import resolve
from gradspec.errors import ConfigError
from gradspec.storage import check_storage


def make(source: str, results: str = "results") -> dict:
    return resolve({"cohort": {"source": source}, "results": results})


@pytest.mark.parametrize("source", ["simulated", "bids", "fmriprep"])
def test_images_are_refused_with_the_way_round(source: str) -> None:
    check_storage(None, make(source))
    with pytest.raises(ConfigError, match=rf"cohort.source: {source} .*--default-storage-provider s3.*timeseries"):
        check_storage("s3", make(source))


@pytest.mark.parametrize("source", ["timeseries", "fnc", "numerical"])
def test_what_comes_as_numbers_may_go_into_a_bucket_by_a_relative_path(source: str) -> None:
    check_storage("s3", make(source))
    with pytest.raises(ConfigError, match=r"/data/mine is an absolute path.*results/mine"):
        check_storage("s3", make(source, results="/data/mine"))
