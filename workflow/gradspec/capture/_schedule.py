"""Which steps are recorded: every k-th, or as many as a budget allows."""

from collections import deque
from statistics import median
from typing import Protocol


class Schedule(Protocol):
    """Chooses the steps that are recorded."""

    def wants(self, index: int) -> bool:
        """Whether to record a step."""

    def note(self, recorded: bool, seconds: float) -> None:
        """Learn how long a step took."""


class EveryKth:
    """One step in so many, the first included."""

    def __init__(self, k: int) -> None:
        self._k = k

    def wants(self, index: int) -> bool:
        return index % self._k == 0

    def note(self, recorded: bool, seconds: float) -> None:
        pass


class Budget:
    """As many steps as keep what recording costs below a share of the time that training takes without.

    The cost of a recorded step is how much longer it took than the median of the plain ones lately.

    Parameters
    ----------
    share : float
        Share of the time of plain steps that may be spent.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._plain: deque[float] = deque(maxlen=15)
        self._costs: deque[float] = deque(maxlen=5)
        self._first: float | None = None
        self._trained = 0.0
        self._spent = 0.0

    def wants(self, index: int) -> bool:
        if index == 0:
            return True
        return bool(self._costs) and self._spent + median(self._costs) <= self._share * self._trained

    def note(self, recorded: bool, seconds: float) -> None:
        if not recorded:
            self._plain.append(seconds)
            self._trained += seconds
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
