"""Ids are joined where one participant alone can be meant, and refused with both spellings where not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradspec.cohort.identities import find_listed, identify, join_ids
from gradspec.errors import ConfigError


@pytest.mark.parametrize(
    ("spelling", "who"),
    [
        ("01", "sub-01"),
        ("sub-01", "sub-01"),
        ("SUB-01", "sub-01"),
        ("sub_01", "sub-01"),
        ("002_S_0413", "sub-002S0413"),
        ("Pitt_0050003", "sub-Pitt0050003"),
        ("NDAR-INV0A1", "sub-NDARINV0A1"),
        ("subject1", "sub-subject1"),
    ],
)
def test_ids_of_files_become_labels(spelling, who):
    assert identify(spelling) == who


@pytest.mark.parametrize("spelling", ["", "n/a", "NA", "sub-", "_", "a b", "a/b", "sub-01_ses-2", "Müller", "1.0"])
def test_what_is_no_id_of_a_participant_is_refused(spelling):
    with pytest.raises(ConfigError):
        identify(spelling)


def join(spellings, known):
    return join_ids({identify(text): text for text in spellings}, known, where="table.tsv", there="the folders")


@pytest.mark.parametrize(
    ("spellings", "known", "joined"),
    [
        (["1", "2"], ["sub-01", "sub-02"], {"sub-1": "sub-01", "sub-2": "sub-02"}),
        (["51456"], ["sub-0051456"], {"sub-51456": "sub-0051456"}),
        (["Pitt_0050003"], ["sub-0050003"], {"sub-Pitt0050003": "sub-0050003"}),
        (["ndarinv0a"], ["sub-NDARINV0A"], {"sub-ndarinv0a": "sub-NDARINV0A"}),
        (["P1", "P10"], ["sub-P001", "sub-P010"], {"sub-P1": "sub-P001", "sub-P10": "sub-P010"}),
        (["1", "01"], ["sub-01"], {"sub-01": "sub-01"}),
        (["A_01"], ["sub-B01"], {}),
        (["10"], ["sub-100"], {}),
    ],
)
def test_ids_are_joined_where_one_fits(spellings, known, joined):
    assert join(spellings, known) == joined


@pytest.mark.parametrize(
    ("spellings", "known", "message"),
    [
        (["1"], ["sub-01", "sub-001"], "table.tsv: '1' may be 'sub-01' and 'sub-001' of the folders"),
        (["A_01", "B_01"], ["sub-01"], "table.tsv: 'A_01' and 'B_01' may be 'sub-01' of the folders"),
    ],
)
def test_two_that_fit_are_refused_with_both_spellings(spellings, known, message):
    with pytest.raises(ConfigError) as caught:
        join(spellings, known)
    assert message in str(caught.value)


@given(st.sets(st.integers(0, 9999), min_size=1, max_size=20), st.integers(4, 7))
def test_ids_without_their_zeros_are_those_with_them(numbers, width):
    known = [f"sub-{number:0{width}d}" for number in sorted(numbers)]
    assert join([str(number) for number in sorted(numbers)], known) == {f"sub-{int(who[4:])}": who for who in known}


def test_numbers_of_yaml_find_their_ids():
    def find(wanted, *ids):
        return find_listed(wanted, {who: who for who in ids})

    listed = ["sub-0051036", "sub-0051089", "sub-01", "sub-8", "sub-20"]
    assert find("51036", *listed) is None
    assert find("0051036", *listed) == "sub-0051036"
    assert find(0o0051036, *listed) == "sub-0051036"  # as YAML reads it
    assert find(51089, *listed) == "sub-0051089"
    assert find(1, *listed) == "sub-01"
    assert find(20, *listed) == "sub-20"
    assert find(77, *listed) is None
    assert find_listed(1, {"sub-1": "sub-01", "sub-01": "sub-01"}) == "sub-01"
    with pytest.raises(ConfigError, match=r"cohort.participants: 16 may be 'sub-020' and 'sub-16' \(YAML drops"):
        find(16, "sub-16", "sub-020")
