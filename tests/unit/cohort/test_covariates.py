"""A covariate is numbers throughout or categories, and a code of what is missing is neither."""

import pytest

from gradspec.cohort.covariates import check_covariate, require_no_codes
from gradspec.errors import ConfigError

AGES = ["23", "31.5", "40", "28", "35", "61", "19", "44", "52", "n/a", "33", "27"]


def check(values, **more):
    cells = {f"sub-{index:02d}": value for index, value in enumerate(values)}
    return check_covariate("age", cells, table="participants.tsv", **{"is_category": False, **more})


@pytest.mark.parametrize(
    "values",
    [
        AGES,
        ["F", "M", "F", "n/a"],
        ["1", "2", "1", "n/a"],
        ["NYU", "2", "7T", "NYU"],
        ["1", "2", "3", "NYU", "1", "2"],  # sites, of which most have numbers
        ["60", "75", "99", "92"],  # an age
        ["-12.5", "3", "-99", "80", "-4"],  # changes of a score
        ["22-25", "26-30", "36+"],
    ],
)
def test_numbers_and_categories_pass(values):
    assert check(values) == []


@pytest.mark.parametrize("odd", ["unknown", "inf", "?", "~30", "1_000", "٣٠", "30 y"])
def test_a_cell_that_would_make_numbers_categories_is_refused(odd):
    with pytest.raises(ConfigError, match=r"column 'age' has numbers, but .* for sub-12, which would make each number"):
        check([*AGES, odd])
    check([*AGES, odd], is_category=True)


def test_decimal_commas_are_refused():
    with pytest.raises(ConfigError, match=r"column 'age' has numbers, but '23,5' for sub-00 and 1 more.*with a point"):
        check(["23,5", "31,0"])


@pytest.mark.parametrize("code", ["-9999", "-999", "-99", "-9999.0", "999", "9999", "99999"])
def test_a_code_of_missing_is_no_number(code):
    with pytest.raises(ConfigError, match=r"for sub-12, far from all others.*cohort.missing_values"):
        check([*AGES, code])
    with pytest.raises(ConfigError, match=r"far from all others"):
        require_no_codes("f1", {"sub-01": "0.1", "sub-02": "-0.4", "sub-03": code}, "features.tsv")
    check([*AGES, code], limits=(-99999, 99999))


def test_limits_speak_for_their_own_side_alone():
    with pytest.raises(ConfigError, match="far from all others"):
        check([*AGES, "9999"], limits=(0, None))
    with pytest.raises(ConfigError, match="far from all others"):
        check([*AGES, "-9999"], limits=(0, 120))


def test_a_lone_negative_number_is_named():
    (warning,) = check([*AGES, "-9", "-9"])
    assert "column 'age' is -9 for sub-12 and 1 more and not negative for anybody else" in warning


def test_spellings_of_one_category_are_named():
    (warning,) = check(["M", "m", "F", "F"])
    assert "column 'age' has 'M' and 'm', which differ by case, blanks or punctuation only" in warning


def test_a_covariate_without_values_is_refused():
    with pytest.raises(ConfigError, match=r"nobody in the two groups has a value in column 'age'"):
        check(["n/a", "n/a"])
