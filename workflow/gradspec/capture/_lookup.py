"""Where in a sample or a batch its group is said."""

from collections.abc import Callable, Mapping
from typing import Any

from gradspec.capture.errors import GroupError

Place = str | int | Callable[[Any], Any]


def look_up(item: Any, place: Place) -> Any:
    """What an item has at a place.

    Parameters
    ----------
    item : any
        A sample or a batch.
    place : str or int or callable
        The key of a mapping or the name of an attribute, the position in a sequence, or what finds it.

    Raises
    ------
    GroupError
        When the item has no such place.
    """
    if callable(place):
        return place(item)
    try:
        return getattr(item, place) if isinstance(place, str) and not isinstance(item, Mapping) else item[place]
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise GroupError(f"there is no {place!r} in what the data loader gives: {type(item).__name__}") from error
