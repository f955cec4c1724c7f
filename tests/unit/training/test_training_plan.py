"""The training is planned: what cannot work is refused in words before any job runs."""

import pytest

from gradspec.config import resolve
from gradspec.errors import ConfigError
from gradspec.training.plan import check_columns, check_training, count_epochs, part_permutations


@pytest.mark.parametrize(
    ("training", "covariates", "message"),
    [
        ({"split": "leave-site-out"}, ["site"], "training.site None is not among cohort.covariates"),
        ({"split": "site-stratified", "site": "site"}, ["age"], "not among cohort.covariates \\(age\\)"),
        ({"site": "site"}, ["site"], "takes no account of it"),
        ({"patience": 3}, [], "training.validation is 0"),
        ({"models": {"logistic": {"class": "a.B"}}}, [], "logistic is the name of a baseline"),
        ({"models": {"svm": {"class": "a.B"}}}, [], "svm is the name of a baseline"),
        ({"models": {"transformer": {"width": 30}}}, [], r"models\.transformer: width is 30, not .* heads \(4\)"),
        (
            {"models": {"small": {"class": "transformer", "args": {"heads": 5}}}},
            [],
            r"models\.small: width is 32, not a multiple of heads \(5\)",
        ),
        ({"models": {"cnn1d": {"kernel": 4}}}, [], r"models\.cnn1d: kernel is 4, but must be odd; take 3 or 5"),
        (
            {"groupings": {"age": {"column": "age"}}, "record_every": 3},
            ["age"],
            "groupings_every is 10, but spectra are taken of every 3 steps",
        ),
        ({"groupings": {"sex": {"column": "sex"}}}, ["age"], "column 'sex' is not among cohort.covariates"),
    ],
)
def test_keys_that_do_not_go_together_are_refused(training, covariates, message):
    with pytest.raises(ConfigError, match=message):
        check_training(resolve({"cohort": {"source": "bids", "covariates": covariates}, "training": training}))


def test_networks_as_they_are_by_default_are_accepted():
    config = {"cohort": {"source": "bids"}, "training": {"models": {"transformer": {}, "cnn1d": {}, "mlp": {}}}}
    check_training(resolve(config))


ROWS = [{"site": site, "sex": "F", "age": age} for site, age in (("A", "20"), ("B", "n/a"), ("C", "31"), ("A", "x"))]


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"split": "leave-site-out", "site": "site"}, r"there are 3 sites \(A, B, C\), so set training.folds to 3"),
        ({"groupings": {"sex": {"column": "sex"}}}, r"groupings\.sex: column 'sex' has the values F only"),
        ({"groupings": {"site": {"column": "site", "quantiles": 4}}}, r"has the values A, B, C only"),
        (
            {"groupings": {"age": {"column": "age", "quantiles": 3}}},
            r"has no numbers to take quantiles of \('x'\)",
        ),
    ],
)
def test_columns_that_do_not_part_the_participants_are_refused(training, message):
    section = resolve({"cohort": {"source": "bids"}, "training": training})["training"]
    with pytest.raises(ConfigError, match=message):
        check_columns(section, ROWS)


@pytest.mark.parametrize(
    "training",
    [
        {"split": "leave-site-out", "site": "site", "folds": 3},
        {"split": "site-stratified", "site": "site"},
        {"groupings": {"site": {"column": "site"}, "motion": {"column": "mean_fd", "quantiles": 3}}},
    ],
)
def test_columns_that_do_and_what_is_measured_are_accepted(training):
    section = resolve({"cohort": {"source": "bids"}, "training": training})["training"]
    check_columns(section, ROWS)
    check_columns(section, [])


def test_a_share_of_the_epochs_is_at_least_one():
    assert [count_epochs(share, 30) for share in (0.01, 0.1, 0.2, 0.21, 1.0)] == [1, 3, 6, 7, 30]


@pytest.mark.parametrize("per_job", ["all", 1, 3, 7, 8])
def test_every_arrangement_is_trained_by_one_job_and_the_labels_as_they_are_by_the_first(per_job):
    parts = part_permutations(7, per_job)
    assert [number for part in parts for number in part] == list(range(8)) and parts[0][:2] == [0, 1]
    assert max(map(len, parts[1:]), default=0) <= (7 if per_job == "all" else per_job)
    assert part_permutations(0, per_job) == []
