"""Which jobs of a run wait, which are at work, which are done, and how long the rest will take."""

from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import Any


@dataclass(frozen=True)
class Job:
    """A job of the plan.

    Attributes
    ----------
    stage, rule : str
        Where it belongs, and what it does.
    minutes : float
        Run time that it asks for, which tells jobs of rules apart of which none has finished.
    """

    stage: str
    rule: str
    minutes: float


@dataclass
class Tally:
    """Counts the jobs of a run.

    Parameters
    ----------
    jobs : mapping of hashable to Job
        The plan, by the number of the job; stages in their order. Other jobs are not counted.
    start : float
        When the run began, in seconds of any clock.
    """

    jobs: Mapping[Hashable, Job]
    start: float
    _began: dict[Hashable, float] = field(default_factory=dict)
    _took: dict[Hashable, float] = field(default_factory=dict)
    _failed: set[Hashable] = field(default_factory=set)

    def begin(self, number: Hashable, now: float) -> None:
        """Note that a job is at work, or has been sent to the cluster; again, where it is tried again."""
        if number in self.jobs:
            self._failed.discard(number)
            self._began[number] = now

    def finish(self, number: Hashable, now: float) -> None:
        """Note that it is done."""
        if (began := self._began.pop(number, None)) is not None:
            self._took[number] = now - began

    def fail(self, number: Hashable) -> None:
        """Note that it failed, unless it begins again."""
        if self._began.pop(number, None) is not None:
            self._failed.add(number)

    def stages(self) -> list[dict[str, Any]]:
        """Count the jobs of each stage: done, running, failed, waiting."""
        counts: dict[str, Counter[str]] = {job.stage: Counter() for job in self.jobs.values()}
        for number, job in self.jobs.items():
            counts[job.stage][self._state(number)] += 1
        states = ("done", "running", "failed", "waiting")
        return [{"stage": stage, **{state: count[state] for state in states}} for stage, count in counts.items()]

    def running(self, now: float) -> list[dict[str, Any]]:
        """Name the rules at work: how many jobs, and how long the oldest has been, in seconds."""
        ages: dict[str, list[float]] = {}
        for number, began in self._began.items():
            ages.setdefault(self.jobs[number].rule, []).append(now - began)
        return [{"rule": rule, "jobs": len(each), "seconds": max(each)} for rule, each in ages.items()]

    def seconds_left(self, now: float) -> float | None:
        """Estimate the time until all is done, from the jobs so far; None before three have finished.

        A job that is to come counts as much as those of its rule took on average or, of a rule of which none has
        finished, the time that it asks for by what share of theirs the others took (their median). The run goes on as
        many at a time as it did so far. On a cluster what a job took is counted from when it was sent, and with it the
        time in the queue, on both sides.
        """
        if len(self._took) < 3:
            return None
        took: dict[str, list[float]] = {}
        for number, seconds in self._took.items():
            took.setdefault(self.jobs[number].rule, []).append(seconds)
        share = median(seconds / max(self.jobs[number].minutes, 1) for number, seconds in self._took.items())
        usual = {rule: fmean(each) for rule, each in took.items()}

        def expect(number: Hashable) -> float:
            job = self.jobs[number]
            return usual.get(job.rule, share * max(job.minutes, 1))

        waiting = sum(expect(number) for number in self.jobs if self._state(number) == "waiting")
        begun = sum(max(expect(number) - (now - began), 0) for number, began in self._began.items())
        at_work = sum(self._took.values()) + sum(now - began for began in self._began.values())
        return (waiting + begun) * max(now - self.start, 1e-3) / max(at_work, 1e-3)

    def _state(self, number: Hashable) -> str:
        if number in self._took:
            return "done"
        if number in self._began:
            return "running"
        return "failed" if number in self._failed else "waiting"


def describe(stages: list[dict[str, Any]], seconds_left: float | None) -> str:
    """Say in a line how far a run is.

    Parameters
    ----------
    stages : list of dict
        Of `Tally.stages`.
    seconds_left : float, optional
        Of `Tally.seconds_left`.
    """
    total = {state: sum(stage[state] for stage in stages) for state in ("done", "running", "failed", "waiting")}
    said = f"{total['done']} of {sum(total.values())} jobs done, {total['running']} running, {total['waiting']} waiting"
    if total["failed"]:
        said += f", {total['failed']} failed"
    if at_work := [stage["stage"] for stage in stages if stage["running"]]:
        said += f" ({', '.join(at_work)})"
    if seconds_left is not None and total["waiting"] + total["running"]:
        said += f"; about {say_seconds(seconds_left)} left"
    return said


def say_seconds(seconds: float) -> str:
    """Say a time in the unit that one would."""
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
