"""Cohorts of time courses as people have them, drawn at random: what is odd, and what has to come of it.

Of each person the generator knows whether the workflow may use the data, of the cohort how many rows each value of the
group column has, which covariates are missing, and how long the series are in the end.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from makers import make_config, save_array, save_matlab_73

N_REGIONS, MIN_VOLUMES, MAX_CONSTANT = 12, 40, 0.1
LEVELS = {"control": ["No_Known_Disorder", "HC"], "patient": ["Strict", "Schizoaffective"]}
VALUES = [value for values in LEVELS.values() for value in values]
OTHERS = ["Bipolar", "no_known_disorder", "hc ", "strict.", "n/a", "NA"]
"""Values of neither group; some differ from one of a group by case, blanks or punctuation, some are missing."""

MISSING = ["n/a", "NA", "NaN", "nan", ""]
CODE = "-9999"
"""What some write for a missing age; where the config does not say so the cohort is refused."""

ID_STYLES = ["sub-{:03d}", "{:03d}", "site_{:04d}", "S-{:d}"]
FORMATS = [".1D", ".txt", ".tsv", ".csv", ".npy", ".mat", "-v7.3.mat"]


@dataclass
class RandomCohort:
    """A cohort, its configuration, and what is known of it.

    Attributes
    ----------
    config : dict
        The whole configuration, defaults filled in.
    used : dict of str to str
        For each participant what the column ``used`` of the look must hold.
    rows_by_value, used_by_value : Counter
        Rows of the table by value of the group column (missing ones as n/a), and how many of them are used.
    missing_ages : set of str
        Who has no age, among those of the two groups.
    length : int
        Volumes of each series in the end.
    refusal : str or None
        What the message names where the cohort as a whole is refused.
    """

    config: dict[str, Any]
    used: dict[str, str] = field(default_factory=dict)
    rows_by_value: Counter[str] = field(default_factory=Counter)
    used_by_value: Counter[str] = field(default_factory=Counter)
    missing_ages: set[str] = field(default_factory=set)
    length: int = 0
    refusal: str | None = None


def draw_cohort(folder: Path, seed: int, n: int = 60) -> RandomCohort:
    """Write a cohort of `n` people."""
    rng = np.random.default_rng(seed)
    style, suffix = rng.choice(ID_STYLES), str(rng.choice(FORMATS))
    asks_for_some = rng.random() < 0.2
    code_is_named = rng.random() < 0.5
    spellings = [*MISSING, CODE] if rng.random() < 0.3 else MISSING
    wanted_length = int(rng.choice([0, 50])) or None
    names = [f"region {number}" for number in range(N_REGIONS)]
    turned = rng.random() < 0.3
    lengths = rng.choice([60, 55, 45, 30], size=n, p=[0.7, 0.1, 0.1, 0.1])
    faults = rng.choice(
        ["none", "missing", "regions", "nan", "flat", "one flat", "truncated", "text"],
        size=n,
        p=[0.65, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05],
    )
    cohort = RandomCohort({})
    rows, asked_for, series_lengths = [], [], {}
    for index in range(n):
        spelling = style.format(index + 1)
        who = "sub-" + spelling.removeprefix("sub-").replace("_", "").replace("-", "")
        value = str(rng.choice([*VALUES, *OTHERS], p=[0.2] * 4 + [0.2 / len(OTHERS)] * len(OTHERS)))
        in_group = value in VALUES
        age = str(rng.choice(spellings)) if rng.random() < 0.1 else f"{rng.uniform(18, 60):.1f}"
        file = f"series/{spelling}{suffix}"
        n_volumes, fault = int(lengths[index]), str(faults[index])
        _write(folder / file, rng, n_volumes, fault, names, turned)
        is_asked_for = not asks_for_some or rng.random() < 0.8
        if is_asked_for and in_group:
            asked_for.append(spelling)
        too_short = n_volumes < (wanted_length or MIN_VOLUMES)
        is_sound = fault in ("none", "one flat") and not too_short
        if not in_group:
            cohort.used[who] = "in neither group"
        elif not is_asked_for:
            cohort.used[who] = "not asked for"
        else:
            cohort.used[who] = "yes" if is_sound else "no"
            if age == CODE and not code_is_named:
                cohort.refusal = "cohort.missing_values"
            if age in spellings:
                cohort.missing_ages.add(who)
            if is_sound:
                series_lengths[who] = n_volumes
        shown = "n/a" if value in ("n/a", "NA") else value.strip()
        cohort.rows_by_value[shown] += 1
        cohort.used_by_value[shown] += cohort.used[who] == "yes"
        rows.append({"participant_id": spelling, "dx": value, "age": age, "timeseries": file})
    cohort.length = wanted_length or min(series_lengths.values())
    table = folder / "participants.tsv"
    pd.DataFrame(rows).to_csv(table, sep="\t", index=False)
    cohort.config = make_config(
        "timeseries",
        folds=2,
        group={"column": "dx", "levels": LEVELS},
        covariates=["age"],
        participants=asked_for if asks_for_some else [],
        min_volumes=MIN_VOLUMES,
        n_volumes=wanted_length,
        missing_values=[CODE] if code_is_named else [],
        timeseries={
            "participants": str(table),
            "max_constant": MAX_CONSTANT,
            "orientation": "regions-in-rows" if turned else "volumes-in-rows",
        },
    )
    return cohort


def _write(path: Path, rng: np.random.Generator, n_volumes: int, fault: str, names: list[str], turned: bool) -> None:
    """Write a person's file, with the fault."""
    if fault == "missing":
        return
    n_regions = N_REGIONS - 2 if fault == "regions" else N_REGIONS
    values = 100 + rng.standard_normal((n_volumes, n_regions)).cumsum(axis=0)
    if fault == "nan":
        values[7, 3] = np.nan
    values[:, : {"flat": 4, "one flat": 1}.get(fault, 0)] = 0.0
    if turned:
        values, names = values.T, []
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name.endswith("-v7.3.mat"):
        save_matlab_73(path, {"data": values})
    elif path.suffix == ".txt" or (turned and path.suffix in (".1D", ".tsv", ".csv")):
        separator = {".csv": ",", ".tsv": "\t"}.get(path.suffix, " ")
        np.savetxt(path, values, delimiter=separator, fmt="%.10g")
    else:
        save_array(path, values, names[:n_regions])
    if fault == "truncated":
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2 - 3])
    if fault == "text":
        path.write_text("this is no array\n")
