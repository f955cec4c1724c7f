"""Ids of participants, as tables spell them and as BIDS names them, and which of two lists belong together.

A label of BIDS has letters and digits only. Ids such as ADNI's ``002_S_0413`` or ABIDE's ``Pitt_0050003`` have more,
and spreadsheets take leading zeros away; where only one participant can be meant the spellings are joined, and said.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from gradspec.cohort.tables import MISSING
from gradspec.errors import ConfigError
from gradspec.files import participant_id

_PREFIX = re.compile(r"sub[-_]", re.IGNORECASE)
_ENTITY = re.compile(r"_(ses|task|run|acq)-")


def identify(spelling: str) -> str:
    """Return the id ``sub-<label>`` of a participant; ``_`` and ``-`` are left out of the label.

    Raises
    ------
    ConfigError
        If it is missing, names a session or run as well, or holds other characters than letters, digits, ``_``, ``-``.
    """
    label = _PREFIX.sub("", spelling.strip(), count=1) if _PREFIX.match(spelling.strip()) else spelling.strip()
    if spelling in MISSING:
        raise ConfigError(f"{spelling!r} is no id; name the participant, or take the row out")
    if _ENTITY.search(label):
        raise ConfigError(
            f"{spelling!r} names more than a participant; keep one row a participant, and what differs by session in "
            "the tables of sessions (cohort.tables)"
        )
    return participant_id(re.sub(r"[-_]", "", label) or spelling)


def join_ids(listed: Mapping[str, str], known: Collection[str], *, where: str, there: str) -> dict[str, str]:
    """Find who of a table is who among those that are known.

    An id that is there as it is stays. Others are compared without case, without leading zeros, and by their last part
    alone (after ``_`` or ``-``), with those that are left; they are joined where one, and only one, fits on each side.

    Parameters
    ----------
    listed : mapping
        How the table spells each id.
    known : collection of str
        Ids that there are, such as those of the folders of a data set.
    where, there : str
        The table, and where the known ids come from, for messages.

    Returns
    -------
    dict of str to str
        The known id of each listed one that has one.

    Raises
    ------
    ConfigError
        If several known ids fit one that is listed, or one fits several.
    """
    joined = {who: who for who in listed if who in set(known)}
    for key, last in ((_folded, _folded), (_without_zeros, _without_zeros), (_last_part, _without_zeros)):
        left = [who for who in listed if who not in joined]
        free = [who for who in known if who not in set(joined.values())]
        asked, given = _by_key(left, lambda who, key=key: key(listed[who])), _by_key(free, last)  # type: ignore[misc]
        for text in asked.keys() & given.keys():
            if len(asked[text]) > 1 or len(given[text]) > 1:
                raise ConfigError(
                    f"{where}: {_and(listed[who] for who in asked[text])} may be {_and(given[text])} of {there}, and "
                    "who is who cannot be known; write the ids in the table as they are there"
                )
            joined[asked[text][0]] = given[text][0]
    return joined


def find_listed(wanted: str | int, known: Mapping[str, str]) -> str | None:
    """Return the id that a value of the config means, or None; `known` has the id of each spelling.

    YAML takes unquoted digits for a number: leading zeros are lost, and ``0051036``, without 8 or 9, is read as octal.

    Raises
    ------
    ConfigError
        If a number fits several.
    """
    if isinstance(wanted, str):
        return known.get(identify(wanted))
    fitting = sorted({known[who] for who in known if _is_number_of(who.removeprefix("sub-"), wanted)})
    if len(fitting) > 1:
        raise ConfigError(
            f"cohort.participants: {wanted} may be {_and(fitting)} (YAML drops the leading zeros of a number); put the "
            "id in quotes"
        )
    return fitting[0] if fitting else None


def _is_number_of(label: str, number: int) -> bool:
    if not (label.isascii() and label.isdecimal()):
        return False
    is_octal = label.startswith("0") and not set(label) & set("89")
    return int(label) == number or (is_octal and int(label, 8) == number)


def _by_key(ids: Iterable[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    sorted_in: dict[str, list[str]] = defaultdict(list)
    for who in ids:
        sorted_in[key(who)].append(who)
    return sorted_in


def _folded(spelling: str) -> str:
    return re.sub(r"[-_]", "", _PREFIX.sub("", spelling, count=1)).casefold()


def _without_zeros(spelling: str) -> str:
    return re.sub(r"(?<!\d)0+(?=\d)", "", _folded(spelling))


def _last_part(spelling: str) -> str:
    return _without_zeros(re.split(r"[-_]", spelling)[-1])


def _and(ids: Iterable[str] | Sequence[str]) -> str:
    return " and ".join(map(repr, ids))
