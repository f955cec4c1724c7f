"""One value or several make a group, in the list form and in the mapping form of the levels."""

import pytest
from makers import make_config

from gradspec.cohort.groups import group_of, nearly
from gradspec.config import resolve
from gradspec.errors import ConfigError


def section(levels, **more):
    return make_config("timeseries", group={"levels": levels, **more})["cohort"]["group"]


SEVERAL = {"control": ["No_Known_Disorder"], "patient": ["Schizophrenia_Strict", "Schizoaffective"]}


@pytest.mark.parametrize(
    ("levels", "value", "group"),
    [
        (["control", "patient"], "patient", "patient"),
        (["control", "patient"], "Patient", None),
        (SEVERAL, "Schizoaffective", "patient"),
        (SEVERAL, "No_Known_Disorder", "control"),
        (SEVERAL, "control", None),
        ({"control": 2, "patient": 1}, "1", "patient"),
        ({"control": 0, "patient": 1}, "0.0", "control"),
        ({"control": [0], "patient": [1, 2]}, "2", "patient"),
        ([0, 1], "1", "1"),
        ({"control": "HC", "patient": "PT"}, "n/a", None),
        ({"control": ["1"], "patient": ["01"]}, "01", "patient"),
    ],
)
def test_values_make_groups(levels, value, group):
    assert group_of(value, section(levels)) == group


def test_values_that_differ_by_case_blanks_or_punctuation_are_near():
    assert nearly("no known disorder", section(SEVERAL)) == "No_Known_Disorder"
    assert nearly("CONTROL.", section(["control", "patient"])) == "control"
    assert nearly("HC", section(["control", "patient"])) is None
    assert nearly("n/a", section(["control", "patient"])) is None
    assert nearly("-1", section({"control": 0, "patient": 1})) is None


def test_resolving_names_the_levels_and_is_idempotent():
    config = {"cohort": {"source": "timeseries", "group": {"levels": SEVERAL}}}
    resolved = resolve(config)
    assert resolved["cohort"]["group"]["levels"] == ["control", "patient"]
    assert resolved["cohort"]["group"]["values"] == SEVERAL
    assert resolve(resolved) == resolved
    assert config["cohort"]["group"]["levels"] is SEVERAL


@pytest.mark.parametrize(
    ("group", "message"),
    [
        ({"levels": {"control": 1, "patient": [2, 1]}}, "'1' belongs to both groups"),
        ({"levels": {"control": 1, "patient": 2}, "values": {"control": 1}}, "the levels have their values already"),
        ({"levels": ["a", "b"], "values": {"c": 1}}, "c is not one of cohort.group.levels"),
        ({"levels": ["a", "b"], "values": {"a": "b"}}, "'b' belongs to both groups"),
        ({"levels": {"control": 1}}, "cohort.group.levels: .*put yes and no in quotes"),
        (
            {"levels": {"control": False, "patient": True}},
            "cohort.group.levels.control: text is needed, but YAML reads no, off or false",
        ),
        ({"levels": {"pooled": 1, "patient": 2}}, "cohort.group.levels: .pooled. should not be valid"),
    ],
)
def test_levels_that_cannot_be_are_refused_by_their_key(group, message):
    with pytest.raises(ConfigError, match=message):
        resolve({"cohort": {"source": "timeseries", "group": group}})
