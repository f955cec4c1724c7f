"""The same config gives the same bytes, in whatever folder and on however many cores.

In small the same is tested with runs that were killed, in tests/faults.
"""

from pathlib import Path

import pytest
from comparing import contents, differences
from running import SMALL, make_workdir, snakemake


@pytest.mark.long
def test_two_runs_of_the_demo_give_the_same_bytes(tmp_path: Path) -> None:
    folders = [make_workdir(tmp_path / "with a space"), make_workdir(tmp_path / "elsewhere" / "deeper")]
    for folder, cores in zip(folders, ("2", "1"), strict=True):
        done = snakemake(folder, "--cores", cores, "--configfile", SMALL)
        assert done.returncode == 0, done.stderr[-4000:]
    names = set(contents(folders[0] / "results"))
    for suffix in (".tsv", ".json", ".nc", ".nii.gz", ".pt", ".png", ".svg", ".html"):
        assert any(name.endswith(suffix) for name in names), suffix
    assert differences(folders[0] / "results", folders[1] / "results") == []
