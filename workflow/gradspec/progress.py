"""Progress of long work: a bar in a terminal, plain lines in a log."""

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

Item = TypeVar("Item")


def track(
    items: Iterable[Item], description: str, *, total: int | None = None, every_s: float = 10.0
) -> Iterator[Item]:
    """Pass `items` on and say how far they are.

    Parameters
    ----------
    items : iterable
        What is worked on.
    description : str
        What is done, in a word or two.
    total : int, optional
        Number of items where it cannot be asked.
    every_s : float
        Seconds between the lines that are written where standard error is not a terminal.

    Yields
    ------
    Item
        The items, one by one.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, desc=description, total=total)
        return
    start = last = time.monotonic()
    done = 0
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last >= every_s:
            last = now
            print(f"{description}: {done}/{total or '?'} ({now - start:.0f} s)", file=sys.stderr, flush=True)
    print(f"{description}: {done} done ({time.monotonic() - start:.1f} s)", file=sys.stderr, flush=True)
