"""When what steps have captured is solved: some steps together, at once or beside training."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import torch

from gradspec.capture._history import Record
from gradspec.capture._spectra import Problems

# Steps are solved together until what they captured, or the problems that it was reduced to, take this many bytes, or
# they are this many: one call of a solver for many small problems costs little more than for one, and between two steps
# the caches lose all that solving needs.
_BYTES = 400_000
_STEPS = 16
# Steps whose capture may wait for the worker, so that memory stays bounded.
_WAITING = 1

# Makes what a step has captured small, and tells its bytes.
Condense = Callable[[], int]
# Reduces it to problems.
Job = Callable[[Problems], Record]


class Solver:
    """Solves the problems of steps in their order, at once or on a thread of its own.

    Parameters
    ----------
    background : bool
        Whether to work beside training.
    """

    def __init__(self, background: bool) -> None:
        self._captured: list[Job] = []
        self._n_bytes = 0
        self._problems = Problems()
        self._open: list[Record] = []
        self._done: deque[Record] = deque()
        self._futures: deque[Future[None]] = deque()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="gradspec-solver") if background else None

    def add(self, condense: Condense, job: Job) -> None:
        """Take a step; raise what went wrong with an earlier one."""
        if self._pool is None:
            self._run(condense, job)
            return
        while self._futures and (self._futures[0].done() or len(self._futures) >= _WAITING):
            self._futures.popleft().result()
        self._futures.append(self._pool.submit(self._run, condense, job))

    def collect(self, everything: bool) -> list[Record]:
        """Steps that have been solved since the last time; all that were taken, if asked for."""
        if everything:
            while self._futures:
                self._futures.popleft().result()
            self._solve()
        return [self._done.popleft() for _ in range(len(self._done))]

    def close(self) -> None:
        """End the thread."""
        if self._pool is not None:
            self._pool.shutdown(wait=True)

    @torch.no_grad()
    def _run(self, condense: Condense, job: Job) -> None:
        self._n_bytes += condense()
        self._captured.append(job)
        if self._n_bytes >= _BYTES:
            self._reduce()
        if self._problems.n_bytes >= _BYTES:
            self._problems.solve_grams()  # the largest, which gain the least from company
        if self._problems.n_bytes >= _BYTES or len(self._captured) + len(self._open) >= _STEPS:
            self._solve()

    def _reduce(self) -> None:
        jobs, self._captured, self._n_bytes = self._captured, [], 0
        for job in jobs:
            self._open.append(job(self._problems))

    @torch.no_grad()
    def _solve(self) -> None:
        self._reduce()
        problems, records = self._problems, self._open
        self._problems, self._open = Problems(), []
        problems.solve()
        for record in records:
            record.finish()
        self._done.extend(records)
