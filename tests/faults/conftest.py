"""The small workflow unbroken, which whatever was broken has to equal."""

from pathlib import Path

import pytest
from breaking import arguments, begin
from running import make_workdir, snakemake


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the results of a run that nothing befell, but that somebody tried to start a second one beside it."""
    folder = make_workdir(tmp_path_factory.mktemp("whole") / "with a space")
    first = begin(folder, *arguments(folder, cores=2), until=1)
    second = snakemake(folder, *arguments(folder))
    output, _ = first.communicate()
    assert first.returncode == 0, output[-4000:]
    (folder / "second.txt").write_text(f"{second.returncode}\n{second.stdout}{second.stderr}")
    return folder
