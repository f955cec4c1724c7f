"""The power of a design is that of simulated studies, and moves as its parts do."""

import numpy as np
import pandas as pd
import pytest

from gradspec.__main__ import main as gradspec
from gradspec.errors import ConfigError
from gradspec.files import write_json, write_table
from gradspec.stats.design import Assumptions, find_detectable, find_power, main, measure_noise
from gradspec.stats.permutation_tail import FEWEST, corrected_p


def simulate(difference, people, folds, repeats, permutations, assumed, n_studies, seed=0):
    """Share of invented studies, of people whose mean is tested under permuted groups, that find the first feature."""
    rng = np.random.default_rng(seed)
    first, second = people
    n, n_tests = first + second, int(assumed.tests)
    labels = np.repeat([-1 / first, 1 / second], people)
    found = 0
    for _ in range(n_studies):
        values = rng.normal(size=(n, n_tests))
        values[first:, 0] += difference
        arrangements = np.stack([labels, *(rng.permutation(labels) for _ in range(permutations))])
        noise = rng.normal(size=(permutations + 1, n_tests, folds * repeats)).mean(axis=2)
        statistics = arrangements @ values + assumed.noise * noise
        z = (statistics - statistics.mean(axis=0)) / statistics.std(axis=0)
        found += corrected_p(z)[0][0] < assumed.alpha
    return found / n_studies


@pytest.mark.parametrize(
    ("difference", "people", "folds", "repeats", "permutations", "assumed"),
    [
        (0.0, (20, 20), 5, 1, 49, Assumptions()),
        (0.6, (40, 40), 5, 1, 49, Assumptions()),
        (0.8, (30, 20), 5, 2, 99, Assumptions(noise=2.0)),
        (0.9, (20, 20), 5, 2, 49, Assumptions(noise=0.5, tests=4)),
        (0.9, (20, 20), 5, 1, 20, Assumptions(alpha=0.1)),
        (0.9, (20, 20), 5, 1, 22, Assumptions(noise=0.5, tests=3, alpha=0.1)),
    ],
)
def test_power_is_that_of_simulated_studies(difference, people, folds, repeats, permutations, assumed):
    design = (people, folds, repeats, permutations, assumed)
    assert find_power(difference, *design) == pytest.approx(simulate(difference, *design, n_studies=600), abs=0.07)


def test_more_of_anything_finds_more_but_people_are_what_counts():
    few = find_detectable((20, 20), 5, 1, 49)
    assert find_detectable((40, 40), 5, 1, 49) < few / 1.2
    assert few / 1.2 < find_detectable((20, 20), 5, 2, 49) < few
    assert few / 1.1 < find_detectable((20, 20), 5, 1, 199) < few
    assert find_detectable((20, 20), 5, 1, 49, Assumptions(tests=20)) > few
    assert find_power(few, (20, 20), 5, 1, 49) == pytest.approx(0.8, abs=1e-3)


def test_too_few_permutations_find_nothing():
    assert find_power(5.0, (50, 50), 5, 1, 9) == 0.0
    assert np.isnan(find_detectable((50, 50), 5, 1, 19))
    assert find_power(5.0, (50, 50), 5, 1, FEWEST) > 0.99


def test_the_command_writes_a_row_a_design(capsys):
    assert (
        gradspec(["design", "--people", "40", "80", "--repeats", "1", "--permutations", "49", "--effect", "0.8"]) == 0
    )
    assumptions, names, *rows = capsys.readouterr().out.splitlines()
    assert "training noise of a run 0.5, 1 independent tests, corrected p < 0.05" in assumptions
    assert names.split("\t") == [
        "people",
        "folds",
        "repeats",
        "permutations",
        "trainings",
        "power_0.8",
        "detectable_80",
    ]
    assert [row.split("\t")[:5] for row in rows] == [["40", "5", "1", "49", "250"], ["80", "5", "1", "49", "250"]]
    with pytest.raises(SystemExit):
        main(["--people", "0"])


def test_the_noise_of_a_finished_run_is_that_of_its_repeats(tmp_path):
    rng = np.random.default_rng(0)
    n_repeats, n_folds, people, noise, names = 4, 5, 2.0, 3.0, [f"l{number}" for number in range(150)]
    runs = pd.MultiIndex.from_product([names, range(n_repeats), range(n_folds)], names=["layer", "repeat", "fold"])
    apart = pd.DataFrame({"entropy": noise * rng.normal(size=len(runs))}, index=runs).reset_index()
    tables = [apart.assign(group="control", entropy=0.0), apart.assign(group="patient")]
    features = pd.concat([table.assign(epoch=epoch, kind="gradient") for table in tables for epoch in (0, 1)])
    features.loc[features["epoch"] == 1, "entropy"] *= 9  # after the window of the test
    spread = np.sqrt(people**2 * (1 / 30 + 1 / 20) + noise**2 / (n_repeats * n_folds))
    tests = pd.DataFrame({"layer": names, "model": "mlp", "kind": "gradient", "feature": "entropy", "by": "retraining"})
    participants = pd.DataFrame({"group": ["control"] * 30 + ["patient"] * 20})
    write_table(features, tmp_path / "features" / "mlp.tsv", dict.fromkeys(features, ""))
    tests = tests.assign(p_value=0.5, standard_error=spread)
    write_table(tests, tmp_path / "stats" / "permutations.tsv", dict.fromkeys(tests, ""))
    write_table(participants, tmp_path / "selection" / "participants.tsv", {"group": ""})
    config = {
        "training": {"folds": n_folds, "repeats": n_repeats},
        "cohort": {"group": {"levels": ["control", "patient"]}},
    }
    config["stats"] = {"alpha": 0.1, "permutation": {"epochs": 0.5}}
    write_json(config, tmp_path / "config.json")
    measured = measure_noise(tmp_path)
    assert (measured.tests, measured.alpha) == (150, 0.1)
    assert measured.noise == pytest.approx(noise / people, rel=0.15)


def test_a_run_without_permuted_trainings_tells_no_noise(tmp_path):
    with pytest.raises(ConfigError, match=r"stats\.permutation\.retraining"):
        measure_noise(tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--people", "x"], "'x' is not a whole number of 1 or more"),
        (["--noise", "nan"], "'nan' is not a spread from 0 up"),
        (["--noise", "-1"], "'-1' is not a spread from 0 up"),
        (["--effect", "nan"], "'nan' is not a difference from 0 up"),
        (["--tests", "0"], "'0' is not a number of 1 or more"),
        (["--alpha", "2"], "'2' is not a level"),
    ],
)
def test_numbers_that_make_no_design_are_refused_in_words(words, message, capsys):
    with pytest.raises(SystemExit):
        main(words)
    assert message in capsys.readouterr().err


def test_more_folds_than_a_group_has_people_are_refused():
    with pytest.raises(ConfigError, match="4 people in two groups are fewer than 5 in a group, which 5 folds need"):
        main(["--people", "4", "--folds", "5"])
