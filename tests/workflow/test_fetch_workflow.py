"""Downloading is a workflow of its own: nothing of it runs unless it is asked for, and the other says how to ask."""

from pathlib import Path

import pytest
from running import ROOT, snakemake, write_config
from stand_in_server import serving

PHENOTYPE = """,SUB_ID,SITE_ID,FILE_ID,DX_GROUP,AGE_AT_SCAN,SEX,func_mean_fd
0,50952,NYU,NYU_0050952,1,8.74,2,0.3722
1,51036,NYU,NYU_0051036,2,13.6,1,0.0649
"""


@pytest.mark.parametrize(("config", "rule"), [("abide", "fetch_abide"), ("ds000030", "fetch_openneuro")])
def test_a_ready_config_plans_the_download_and_the_workflow_says_how(workdir: Path, config: str, rule: str) -> None:
    file = f"config/{config}.yaml"
    done = snakemake(workdir, "--snakefile", "workflow/fetch.smk", "-n", "--quiet", "rules", "--configfile", file)
    assert done.returncode == 0, done.stderr
    assert rule in done.stdout + done.stderr
    refused = snakemake(workdir, "-n", "--configfile", file)
    assert refused.returncode != 0
    assert "`make fetch CONFIG=…` downloads them" in refused.stdout + refused.stderr


def test_no_rule_of_the_workflow_downloads() -> None:
    included = (ROOT / "workflow" / "Snakefile").read_text()
    assert "fetch" not in included


@pytest.mark.slow
def test_a_download_leaves_the_data_their_table_and_a_record(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as server:
        server.files["/Phenotypic_V1_0b_preprocessed1.csv"] = PHENOTYPE.encode()
        for name in ("NYU_0050952", "NYU_0051036"):
            server.files[f"/Outputs/cpac/nofilt_noglobal/rois_cc200/{name}_rois_cc200.1D"] = b"#1\t#2\n1\t2\n3\t4\n"
        config = {
            "cohort": {"source": "timeseries", "group": {"column": "diagnosis", "levels": ["control", "autism"]}},
            "fetch": {
                "source": "abide",
                "folder": "data/abide",
                "abide": {"address": server.address, "quality_checked": False},
            },
        }
        file = write_config(workdir, config)
        done = snakemake(workdir, "--snakefile", "workflow/fetch.smk", "--cores", "1", "--configfile", file)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = (workdir / "data/abide/participants.tsv").read_text().splitlines()
    assert [row.split("\t")[:2] for row in rows[1:]] == [["sub-0050952", "autism"], ["sub-0051036", "control"]]
    assert (workdir / "data/abide/participants.json").is_file()
    for row in (workdir / "results/fetch/abide.tsv").read_text().splitlines()[1:]:
        *_, path, size = row.split("\t")
        assert (workdir / "data/abide" / path).stat().st_size == int(size)
