"""The check of a cohort as the two jobs make it, the file that the one hands to the other included."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from gradspec.cohort.check import check_cohort
from gradspec.cohort.examine import examine_cohort
from gradspec.cohort.findings import read_findings, write_findings


def examine_and_check(config: Mapping[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the tables of participants and of runs of a cohort."""
    with tempfile.TemporaryDirectory() as folder:
        findings = Path(folder, "findings.json")
        write_findings(examine_cohort(config), findings)
        return check_cohort(read_findings(findings), config)
