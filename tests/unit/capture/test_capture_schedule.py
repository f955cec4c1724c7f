"""When steps are recorded and solved: within a budget, and on a thread of its own."""

import threading
from collections.abc import Callable
from math import inf

import pytest
import torch
import torch.nn.functional as F
from capture_cases import CASE, GROUPS
from capture_reference import assert_step_equal, assert_trees_close, naive_spectra
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gradspec.capture import CaptureError, GroupError, SpectraRecorder
from gradspec.capture import recorder as recorder_module
from gradspec.capture._history import Record, Step
from gradspec.capture._schedule import Budget
from gradspec.capture._solver import Solver
from gradspec.capture._spectra import Problems

NAMES = ["control", "patient"]
GROUP = torch.tensor(GROUPS["rest"])


def simulate(budget: Budget, plain: list[float], cost: Callable[[int], float]) -> tuple[list[int], float, float]:
    """Steps that are recorded, the time that recording took in all, and that of training without."""
    recorded, spent = [], 0.0
    for index, seconds in enumerate(plain):
        wanted = budget.wants(index)
        extra = cost(index) if wanted else 0.0
        budget.note(seconds + extra, None if wanted else seconds, 0.0)
        if wanted:
            recorded.append(index)
            spent += extra
    return recorded, spent, sum(plain)


@given(
    st.floats(0.01, 0.5),
    st.floats(0.05, 50),
    st.lists(st.floats(0.9, 1.1), min_size=300, max_size=300),
    st.floats(1e-4, 10),
)
def test_recording_takes_no_more_than_its_share(share: float, cost: float, jitter: list[float], unit: float) -> None:
    """But for one step at the beginning, whose cost nobody knows, and for one at the end."""
    plain = [unit * each for each in jitter]
    recorded, spent, trained = simulate(Budget(share), plain, lambda index: cost * unit)
    assert recorded[0] == 0
    assert spent <= 1.3 * share * trained + 2 * cost * unit


@given(st.floats(0.02, 0.5), st.floats(0.01, 5))
def test_the_budget_is_used(share: float, cost: float) -> None:
    recorded, spent, trained = simulate(Budget(share), [1.0] * 1000, lambda index: cost)
    assert spent >= 0.8 * min(share, cost) * trained - 2 * cost
    assert len(recorded) <= 1000


def test_a_slow_first_step_is_made_up_for() -> None:
    recorded, spent, trained = simulate(Budget(0.05), [1.0] * 1000, lambda index: 0.2 if index else 20.0)
    assert recorded[0] == 0
    assert recorded[1] > 300
    assert spent <= 0.06 * trained


def test_steps_that_grow_slower_do_not_count_as_recording() -> None:
    _, spent, trained = simulate(Budget(0.05), [1.0] * 200 + [3.0] * 400, lambda index: 0.5)
    assert 0.03 * trained <= spent <= 0.06 * trained


def test_steps_that_grow_faster_do_not_hide_what_recording_costs() -> None:
    _, spent, trained = simulate(Budget(0.05), [2.0] * 200 + [1.0] * 800, lambda index: 0.5)
    assert 0.03 * trained <= spent <= 0.06 * trained


def test_what_the_recorder_does_in_plain_steps_is_counted() -> None:
    budget, n_recorded = Budget(0.05), 0
    for index in range(1000):
        wanted = budget.wants(index)
        budget.note(1.5 if wanted else 1.02, None if wanted else 1.0, 0.0)
        n_recorded += wanted
    assert 50 <= n_recorded <= 62  # half a step each, of what 0.02 a step leave of 0.05


def test_what_runs_between_steps_is_training_but_for_a_long_break() -> None:
    def n_recorded(between: float, breaks: float) -> int:
        budget, n_recorded = Budget(0.05), 0
        for index in range(1000):
            wanted = budget.wants(index)
            budget.note(
                2.0 if wanted else 1.0, None if wanted else 1.0, between if index % 100 else breaks if index else inf
            )
            n_recorded += wanted
        return n_recorded

    assert n_recorded(0.0, 0.0) == pytest.approx(50, abs=2)
    assert n_recorded(1.0, 1.0) == pytest.approx(100, abs=3)
    assert n_recorded(1.0, 500.0) == pytest.approx(100, abs=3)


def test_wrong_labels_are_refused_in_steps_that_are_not_recorded_too() -> None:
    model, x, y = CASE["linear_wide"].make()
    recorder = SpectraRecorder(model, NAMES, every=10)
    for _ in range(2):
        with recorder.step(GROUP):
            F.cross_entropy(model(x), y).backward()
    for wrong in (GROUP + 5, GROUP.float(), GROUP[None]):
        with pytest.raises(GroupError), recorder.step(wrong):
            pass


def test_a_budget_is_kept_end_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that goes on by one in a plain step and by five in a recorded one."""
    now = [0.0]
    monkeypatch.setattr(recorder_module, "perf_counter", lambda: now[0])
    model, x, y = CASE["linear_wide"].make()
    recorder = SpectraRecorder(model, NAMES, every="auto", budget=0.2)
    n_recorded = 0
    for _ in range(200):
        with recorder.step(GROUP) as step:
            F.cross_entropy(model(x), y).backward()
            now[0] += 5 if step.recorded else 1
        n_recorded += step.recorded
    steps = recorder.spectra()["step"].values
    assert steps[0] == 0
    assert len(steps) == n_recorded
    assert 4 * n_recorded <= 0.2 * 200 + 4
    assert n_recorded >= 8


def test_accumulated_steps_keep_the_budget_too() -> None:
    model, x, y = CASE["linear_wide"].make()
    recorder = SpectraRecorder(model, NAMES, every="auto")
    for _ in range(5):
        with recorder.accumulate() as step, step.batch(GROUP):
            F.cross_entropy(model(x), y).backward()
    assert recorder.spectra()["step"].values[0] == 0


@pytest.mark.parametrize("name", ["linear_wide", "linear_4d", "conv2d_groups", "lstm", "encoder", "embedding_sparse"])
@pytest.mark.parametrize("options", [{}, {"keep_grams": True}])
def test_a_worker_gives_the_same_numbers(name: str, options: dict[str, object]) -> None:
    trees = []
    for worker in (False, True):
        model, x, y = CASE[name].make()
        recorder = SpectraRecorder(model, NAMES, worker=worker, extras=CASE[name].extras, **options)
        for step in range(20):
            with recorder.step(GROUP.roll(step)):
                F.cross_entropy(model(x), y).backward()
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter -= 0.1 * parameter.grad.to_dense()
                    parameter.grad.zero_()  # in place, while the worker may still be at it
        trees.append(recorder.regroup([GROUP] * 20) if options else recorder.spectra())
        recorder.detach()
    assert_trees_close(trees[1], trees[0], {"sample side": 1e-12, "parameter side": 1e-9})


def test_an_error_of_the_worker_reaches_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x, y = CASE["linear_wide"].make()
    recorder = SpectraRecorder(model, NAMES, worker=True)

    def fail(*arguments: object) -> None:
        raise ZeroDivisionError("in the worker")

    with monkeypatch.context() as patch:
        patch.setattr(recorder_module, "reduce", fail)
        with recorder.step(GROUP):
            F.cross_entropy(model(x), y).backward()
        with pytest.raises(ZeroDivisionError, match="in the worker"):
            recorder.spectra()
    assert "forward" not in vars(model[0])
    with recorder.step(GROUP):
        F.cross_entropy(model(x), y).backward()
    assert recorder.spectra()["step"].values.tolist() == [1]
    recorder.detach()


def test_an_error_of_the_worker_is_told_at_the_latest_when_the_recorder_is_detached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*arguments: object) -> None:
        raise ZeroDivisionError

    model, x, y = CASE["linear_wide"].make()
    monkeypatch.setattr(recorder_module, "reduce", fail)
    recorder = SpectraRecorder(model, NAMES, worker=True)
    with recorder.step(GROUP):
        F.cross_entropy(model(x), y).backward()
    with pytest.raises(ZeroDivisionError):
        recorder.detach()
    assert not any(thread.name.startswith("gradspec-solver") for thread in threading.enumerate())


def test_steps_that_wait_for_the_worker_are_few() -> None:
    gate, waiting, most = threading.Event(), [0], [0]
    solver = Solver(background=True)

    def job(problems: Problems) -> Record:
        gate.wait(10)
        waiting[0] -= 1
        return Record(Step(0, True), [1], [1.0], {})

    def feed() -> None:
        for _ in range(8):
            waiting[0] += 1
            most[0] = max(most[0], waiting[0])
            solver.add(lambda: 1_000_000, job)

    feeder = threading.Thread(target=feed)
    feeder.start()
    feeder.join(0.2)
    assert feeder.is_alive()  # training waits for the worker, not the other way round
    assert most[0] <= 3
    gate.set()
    feeder.join(10)
    assert len(solver.collect(everything=True)) == 8
    solver.close()


def test_the_first_step_is_right_whatever_the_schedule() -> None:
    model, x, y = CASE["linear_4d"].make()
    expected = naive_spectra(model, x, y, GROUP, len(NAMES))
    with SpectraRecorder(model, NAMES, every="auto", worker=True) as recorder:
        for _ in range(3):
            with recorder.step(GROUP):
                F.cross_entropy(model(x), y).backward()
    assert_step_equal(recorder.spectra(), expected)


@pytest.mark.parametrize(
    "options", [{"every": "often"}, {"every": 0}, {"budget": 0.0}, {"budget": 1.5}, {"flush_every": 0}]
)
def test_wrong_schedules_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(CaptureError):
        SpectraRecorder(nn.Linear(3, 2), NAMES, **options)
