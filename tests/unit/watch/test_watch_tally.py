"""Jobs are counted by what is logged of them, and the time left is that of the jobs so far."""

import pytest

from gradspec.watch.tally import Job, Tally, describe


def make_tally(**rules: int) -> Tally:
    """Plan so many jobs of each rule, numbered from 0; all ask for ten minutes."""
    jobs = [Job(f"stage of {rule}", rule, 10.0) for rule, n in rules.items() for _ in range(n)]
    return Tally(dict(enumerate(jobs)), start=100.0)


def test_every_job_is_in_one_state() -> None:
    tally = make_tally(prepare=2, train=3)
    for number in (0, 1, 2, 3):
        tally.begin(number, 100.0)
    tally.finish(0, 110.0)
    tally.fail(1)
    tally.finish(77, 111.0)  # not planned
    assert tally.stages() == [
        {"stage": "stage of prepare", "done": 1, "running": 0, "failed": 1, "waiting": 0},
        {"stage": "stage of train", "done": 0, "running": 2, "failed": 0, "waiting": 1},
    ]
    assert tally.running(120.0) == [{"rule": "train", "jobs": 2, "seconds": 20.0}]


def test_a_job_that_is_tried_again_runs_and_has_not_failed() -> None:
    tally = make_tally(train=1)
    tally.begin(0, 100.0)
    tally.fail(0)
    tally.begin(0, 130.0)
    assert tally.stages()[0]["running"] == 1
    assert tally.stages()[0]["failed"] == 0
    tally.finish(0, 140.0)
    assert tally.stages()[0]["done"] == 1


@pytest.mark.parametrize("at_once", [1, 2])
def test_the_time_left_is_exact_where_jobs_are_alike(at_once: int) -> None:
    tally, now = make_tally(train=12), 100.0
    for first in range(0, 6, at_once):
        for number in range(first, first + at_once):
            tally.begin(number, now)
        now += 20.0
        for number in range(first, first + at_once):
            tally.finish(number, now)
    assert tally.seconds_left(now) == pytest.approx(6 * 20.0 / at_once)
    tally.begin(6, now)
    assert tally.seconds_left(now + 15.0) == pytest.approx((5 * 20.0 + 5.0) / at_once, rel=0.2)


def test_rules_of_which_none_has_finished_take_their_share_of_what_they_ask_for() -> None:
    jobs = {number: Job("first", "short", 10.0) for number in range(3)} | {9: Job("second", "long", 100.0)}
    tally = Tally(jobs, start=0.0)
    for number in range(3):
        tally.begin(number, 5.0 * number)
        tally.finish(number, 5.0 * number + 5.0)
    assert tally.seconds_left(15.0) == pytest.approx(50.0)


def test_nothing_is_promised_before_three_jobs_have_finished() -> None:
    tally = make_tally(train=4)
    for number in range(2):
        tally.begin(number, 100.0)
        tally.finish(number, 101.0)
    assert tally.seconds_left(102.0) is None
    assert describe(tally.stages(), None) == "2 of 4 jobs done, 0 running, 2 waiting"


@pytest.mark.parametrize(("seconds", "said"), [(50, "50 s"), (130, "2 min"), (4 * 3600, "4 h"), (200_000, "2 days")])
def test_a_line_says_how_far_it_is(seconds: float, said: str) -> None:
    stages = [{"stage": "ica", "done": 1, "running": 2, "failed": 1, "waiting": 3}]
    assert describe(stages, seconds) == f"1 of 7 jobs done, 2 running, 3 waiting, 1 failed (ica); about {said} left"
