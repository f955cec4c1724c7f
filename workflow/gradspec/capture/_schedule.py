"""Which steps are recorded: every k-th, or as many as a budget allows."""

from collections import deque
from math import isfinite
from statistics import median
from typing import Protocol

# Plain and recorded steps that tell how long a step takes and what recording costs: the last ones, since training grows
# slower and faster with whatever else the machine does.
_PLAIN, _RECORDED = 7, 5
# Recorded steps in a row, before a plain one is due that they can be compared with.
_IN_A_ROW = 5


class Schedule(Protocol):
    """Chooses the steps that are recorded."""

    def wants(self, index: int) -> bool:
        """Whether to record a step."""

    def note(self, seconds: float, trained: float | None, before: float) -> None:
        """Learn how long a step took.

        Parameters
        ----------
        seconds : float
            From its beginning to its end.
        trained : float or None
            What training took of that; None where it was recorded, and the two are not apart.
        before : float
            Seconds since the step before; not finite at the first.
        """


class EveryKth:
    """One step in so many, the first included."""

    def __init__(self, k: int) -> None:
        self._k = k

    def wants(self, index: int) -> bool:
        return index % self._k == 0

    def note(self, seconds: float, trained: float | None, before: float) -> None:
        pass


class Budget:
    """As many steps as keep what recording costs below a share of the time that training takes without.

    Training is what runs in a step and, by the median of the last times, what runs between two (the optimiser, the next
    batch). The cost of a recorded step is how much longer it took than training in the plain ones lately, by their
    median. What the recorder does in the plain ones, such as to check the labels, is counted as well.

    Parameters
    ----------
    share : float
        Share of the time of training that may be spent.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._plain: deque[float] = deque(maxlen=_PLAIN)
        self._between: deque[float] = deque(maxlen=_PLAIN)
        self._costs: deque[float] = deque(maxlen=_RECORDED)
        self._in_a_row = 0
        self._first: float | None = None
        self._trained = 0.0
        self._spent = 0.0

    def wants(self, index: int) -> bool:
        if index == 0:
            return True
        return (
            self._in_a_row < _IN_A_ROW
            and bool(self._costs)
            and self._spent + median(self._costs) <= self._share * self._trained
        )

    def note(self, seconds: float, trained: float | None, before: float) -> None:
        if isfinite(before):
            self._between.append(before)
            self._trained += median(self._between)
        self._in_a_row = self._in_a_row + 1 if trained is None else 0
        if trained is not None:
            self._plain.append(trained)
            self._trained += trained
            self._spent += seconds - trained
            if self._first is not None:
                self._charge(self._first)
                self._first = None
        elif self._plain:
            self._charge(seconds)
        else:
            self._first = seconds

    def _charge(self, seconds: float) -> None:
        usual = median(self._plain)
        self._trained += usual
        cost = max(seconds - usual, 0.0)
        self._costs.append(cost)
        self._spent += cost
