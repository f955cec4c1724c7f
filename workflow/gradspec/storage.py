"""Which runs may have their results in a bucket (``snakemake --default-storage-provider``)."""

from pathlib import Path
from typing import Any

from gradspec.errors import ConfigError

_WITHOUT_IMAGES = ("timeseries", "fnc", "numerical")


def check_storage(provider: str | None, config: dict[str, Any]) -> None:
    """Refuse a run whose jobs would look on disk for what lies in the bucket.

    Parameters
    ----------
    provider : str or None
        Snakemake's default storage provider.
    config : dict
        The resolved configuration.

    Raises
    ------
    ConfigError
        If there is a provider, and the cohort comes as images or the folder of results is an absolute path.
    """
    if provider is None:
        return
    source, results = config["cohort"]["source"], config["results"]
    if source not in _WITHOUT_IMAGES:
        raise ConfigError(
            f"cohort.source: {source} cannot have its results in a bucket (--default-storage-provider {provider}): its "
            "stages hand images on by their paths in tables, which Snakemake does not fetch. Run it up to the time "
            "courses on a file system (`snakemake ica`), write them as files, and take cohort.source: timeseries from "
            "there; or leave the provider out"
        )
    if Path(results).is_absolute():
        raise ConfigError(
            f"results: {results} is an absolute path, below which nothing lies in a bucket "
            f"(--default-storage-provider {provider}); write a name such as results/{Path(results).name}, which is put "
            "behind --default-storage-prefix"
        )
