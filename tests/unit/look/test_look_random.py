"""Cohorts drawn at random: the look counts everybody as the generator does."""

import pytest
from random_cohorts import draw_cohort

from gradspec.cohort.listing import count_by_value
from gradspec.errors import ConfigError
from gradspec.look.people import USED, look_at_cohort

SEEDS = [*range(4), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(4, 200))]


@pytest.mark.parametrize("seed", SEEDS)
def test_everybody_is_used_or_named_as_the_generator_knows(tmp_path, seed):
    cohort = draw_cohort(tmp_path, seed)
    if cohort.refusal:
        with pytest.raises(ConfigError, match=cohort.refusal):
            look_at_cohort(cohort.config)
        return
    look = look_at_cohort(cohort.config)
    people = look.people.set_index("participant_id")
    assert look.obstacle is None
    assert people["used"].to_dict() == cohort.used
    assert people.loc[people["used"] != USED, "why"].notna().all()
    assert set(people.index[people["missing"] == "age"]) == cohort.missing_ages
    counts = count_by_value(look.people, set(look.used["participant_id"])).set_index("value")
    assert counts["n_rows"].to_dict() == dict(cohort.rows_by_value)
    assert counts["n_used"].to_dict() == dict(cohort.used_by_value)
    used = look.used["n_volumes"].astype(int)
    assert used.min() == cohort.length or cohort.length == cohort.config["cohort"]["n_volumes"]
    cut = look.used[used > cohort.length]
    assert cut["note"].str.contains(f"to {cohort.length} volumes").all()
