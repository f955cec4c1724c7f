"""A real cohort through the whole workflow, learning the diagnosis, the sex, and a group that was drawn by lot.

The cohort is ABIDE's site NYU (184 participants) as `GRADSPEC_TEST_DATA` holds it. Each target is learnt by networks
and by logistic regression on the same folds, and tested in every way that the workflow has; beside the diagnosis, the
other two are recorded as further groupings. Where the group was drawn by lot nothing may be found. Run from the root
of the project: ``python -m benchmarks.real_groupings --folder /tmp/groupings``; what is there already is not run again.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))

from gradspec.files import read_table, write_json

ROOT = Path(__file__).parents[1]
LEVELS = {"diagnosis": ["control", "autism"], "lot": ["a", "b"], "sex": ["F", "M"]}
ALPHA = 0.05


def prepare_cohort(folder: Path, data: Path, draw: int) -> Path:
    """Write the table of participants with a group that is drawn by lot, half of each diagnosis and sex."""
    table = read_table(data / "participants.tsv")
    table["timeseries"] = [str(data / file) for file in table["timeseries"]]
    rng = np.random.default_rng(draw)
    order = table.assign(order=rng.random(len(table))).sort_values(["diagnosis", "sex", "order"]).index
    table.loc[order, "lot"] = np.resize(LEVELS["lot"], len(table))
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / "participants.tsv", sep="\t", index=False)
    return folder / "participants.tsv"


def configure(target: str, participants: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """The configuration in which a column is learnt."""
    others = [name for name in LEVELS if name != target]
    return {
        "results": str(participants.parent / target),
        "cohort": {
            "source": "timeseries",
            "group": {"column": target, "levels": LEVELS[target]},
            "covariates": ["age", "mean_fd", *others],
            "timeseries": {"participants": str(participants), "repetition_time": 2.0},
        },
        "training": {
            "models": {name: {} for name in arguments.models},
            "folds": 5,
            "repeats": arguments.repeats,
            "epochs": 20,
            "batch_size": 32,
            "groupings": {name: {"column": name} for name in others if target == "diagnosis"},
        },
        "stats": {"permutation": {"regrouping": 99, "retraining": arguments.retraining}},
    }


def run(config: dict[str, Any], cores: int) -> None:
    """Run the workflow up to its statistics."""
    file = Path(f"{config['results']}.yaml")
    file.write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "snakemake", "stats", "--cores", str(cores), "--configfile", str(file), "--quiet"]
    subprocess.run([*command, "--directory", str(file.parent)], cwd=ROOT, check=True)


def read_results(target: str, results: Path) -> list[dict[str, Any]]:
    """A row a network: its area under the curve beside the linear baseline's, and what the tests found."""
    names = ["performance", "group_differences", "equal_loss", "clusters"]
    stats = {name: read_table(results / "stats" / f"{name}.tsv") for name in names}
    areas = stats["performance"][stats["performance"]["metric"] == "roc_auc"].set_index("model")
    rows = []
    for model in dict.fromkeys(stats["group_differences"]["model"]):
        row = {"target": target, "model": model, "auc": _interval(areas.loc[model])}
        row["logistic"] = _interval(areas.loc["logistic"])
        for name in ("group_differences", "equal_loss", "clusters"):
            row[name] = _count(stats[name][stats[name]["model"] == model])
        if (file := results / "stats" / "permutations.tsv").exists():
            permutations = read_table(file)
            of_model = permutations[permutations["model"] == model]
            row |= {" by ".join(how): _count(tests) for how, tests in of_model.groupby(["grouping", "by"])}
        rows.append(row)
    return rows


def _interval(row: Any) -> str:
    return f"{row['estimate']:.2f} [{row['ci_low']:.2f}, {row['ci_high']:.2f}]"


def _count(tests: pd.DataFrame) -> str:
    """Tests whose corrected p is below the level, of those that could be done."""
    tested = tests[~tests["test"].str.startswith("not tested")]
    return f"{int((tested['p_corrected'] < ALPHA).sum())} of {len(tested)}"


def main() -> None:
    """Run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where everything is written")
    parser.add_argument("--models", nargs="+", default=["mlp", "cnn1d"], help="networks (default: mlp cnn1d)")
    parser.add_argument("--targets", nargs="+", choices=LEVELS, default=list(LEVELS), help="what is learnt")
    parser.add_argument("--draw", type=int, default=0, help="seed of the group that is drawn by lot (default: 0)")
    parser.add_argument("--repeats", type=int, default=2, help="repeats of the cross-validation (default: 2)")
    parser.add_argument("--retraining", type=int, default=0, help="permutations by training again (default: none)")
    parser.add_argument("--cores", type=int, default=1)
    arguments = parser.parse_args()
    if "GRADSPEC_TEST_DATA" not in os.environ:
        raise SystemExit("set GRADSPEC_TEST_DATA to the folder that holds abide-nyu")
    data = Path(os.environ["GRADSPEC_TEST_DATA"]).resolve() / "abide-nyu"
    participants = prepare_cohort(arguments.folder.resolve(), data, arguments.draw)
    rows = []
    for target in arguments.targets:
        config = configure(target, participants, arguments)
        run(config, arguments.cores)
        rows += read_results(target, Path(config["results"]))
    write_json(rows, arguments.folder / "groupings.json")
    print(pd.DataFrame(rows).fillna("").to_string(index=False))


if __name__ == "__main__":
    main()
