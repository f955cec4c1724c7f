"""The training is planned: what cannot work is refused in words before any job runs."""

import pytest

from gradspec.config import resolve
from gradspec.errors import ConfigError
from gradspec.training.plan import check_training


@pytest.mark.parametrize(
    ("training", "covariates", "message"),
    [
        ({"split": "leave-site-out"}, ["site"], "training.site None is not among cohort.covariates"),
        ({"split": "site-stratified", "site": "site"}, ["age"], "not among cohort.covariates \\(age\\)"),
        ({"site": "site"}, ["site"], "takes no account of it"),
        ({"patience": 3}, [], "training.validation is 0"),
        ({"models": {"logistic": {"class": "a.B"}}}, [], "logistic is the name of a baseline"),
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
