"""The plan of a training within a time limit."""

from __future__ import annotations

import pytest

from tarsia.learning.limit import Limit, end_of, share_done
from tarsia.learning.optimizer import factor
from tarsia.recipe_train import TrainRecipe


class Clock:
    """Time that passes when it is told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr("tarsia.learning.limit.monotonic", found)
    return found


def test_a_plan_in_force_is_the_last_change_before_the_step() -> None:
    replan = ((5, 8), (7, 20))
    assert [end_of(replan, step, 10) for step in (0, 4, 5, 6, 7, 19)] == [10, 10, 8, 8, 20, 20]


@pytest.mark.parametrize("replan", [(), ((5, 8),), ((5, 20),), ((2, 9), (5, 6)), ((1, 30), (20, 22))])
@pytest.mark.parametrize("warmup", [0, 3])
def test_the_schedule_falls_to_its_end_whatever_changes(replan: tuple[tuple[int, int], ...], warmup: int) -> None:
    total = end_of(replan, 10**6, 10)
    shares = [share_done(replan, step, 10, warmup) for step in range(total + 1)]
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == pytest.approx(1)
    steps = [later - earlier for earlier, later in zip(shares[warmup:], shares[warmup + 1 :], strict=False)]
    assert max(steps) <= 1  # no step backwards, none beyond the end
    settings = TrainRecipe(replan=replan, power=1.0, warmup_steps=warmup)
    assert factor(settings, total, 10) == pytest.approx(0, abs=1e-9)


def test_without_a_change_the_schedule_is_what_it_was() -> None:
    assert factor(TrainRecipe(power=1.0, warmup_steps=2), 6, 10) == pytest.approx(0.5)


def simulated(clock: Clock, limit: Limit, total: int, per_epoch: int, seconds: list[float], validation: float) -> int:
    """Train on a machine whose step `k` takes seconds[k] (the last for all others) -> the steps done."""
    step = 0
    while step < total:
        taken = seconds[min(step, len(seconds) - 1)]
        clock.now += taken
        step += 1
        limit.took(taken)
        total = limit.advice(step, total, per_epoch) or total
        if step % per_epoch == 0 or step == total:
            clock.now += validation
            limit.validated(validation)
    clock.now += limit.scoring
    return step


@pytest.mark.parametrize(
    ("seconds", "least"),
    [
        ([1.0], 250),  # as planned
        ([1.0] * 120 + [2.0], 180),  # half as fast from there on
        ([1.0] * 260 + [3.0], 260),  # near the end
        ([0.5], 500),  # faster than thought: more steps
        ([1.0, 1.0, 1.0, 30.0, 1.0], 220),  # one stall
    ],
)
def test_it_ends_in_time_and_leaves_little(clock: Clock, seconds: list[float], least: int) -> None:
    limit = Limit(300, started=clock.now, validation=2.0, scoring=6.0)
    steps = simulated(clock, limit, total=270, per_epoch=54, seconds=seconds, validation=2.0)
    assert steps >= least
    assert 0.85 * 300 <= limit.spent <= 1.05 * 300


def test_where_everything_becomes_ten_times_slower_validation_and_report_do_too(clock: Clock) -> None:
    limit = Limit(300, started=clock.now, validation=3.0, scoring=6.0, pace=1.0)
    step, total = 0, 250
    while step < total:
        slow = 10.0 if clock.now - limit.started > 150 else 1.0
        clock.now += slow
        step += 1
        limit.took(slow)
        total = limit.advice(step, total, 50) or total
        if step % 50 == 0 or step == total:
            clock.now += 3 * slow
            limit.validated(3 * slow)
    clock.now += 60  # the report, ten times as long
    assert limit.spent <= 1.05 * 300


def test_a_stalled_machine_ends_after_one_step_more(clock: Clock) -> None:
    limit = Limit(60, started=clock.now)
    for _ in range(6):
        limit.took(1.0)
    clock.now += 500
    assert limit.advice(6, 50, 10) == 7
    assert limit.left < 0


def test_more_than_helps_is_not_planned(clock: Clock) -> None:
    limit = Limit(10_000, started=clock.now, most=60)
    for _ in range(6):
        limit.took(1.0)
    assert limit.advice(6, 60, 10) is None
    assert limit.advice(12, 40, 10) == 60


def test_what_is_left_after_a_stop_is_left(clock: Clock) -> None:
    limit = Limit(100, started=clock.now)
    clock.now += 30
    kept = limit.facts()
    clock.now += 1000
    assert Limit(**kept, started=clock.now).left == pytest.approx(70)


@pytest.mark.parametrize("replan", [[[5, 5]], [[5, 9], [5, 10]], [[6, 9], [4, 10]]])
def test_a_faulty_list_is_refused(replan: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="each change comes after the one before it"):
        TrainRecipe(replan=replan)


def test_steps_that_read_pictures_for_the_first_time_change_no_plan(clock: Clock) -> None:
    limit = Limit(300, started=clock.now, validation=2.0, scoring=6.0, reading=12)
    asked = []
    for step in range(1, 60):
        seconds = 2.0 if step <= 12 else 1.0
        clock.now += seconds
        limit.took(seconds)
        asked.append(limit.advice(step, 265, 100))
    assert set(asked) == {None} and Limit(**limit.facts()).reading == 12


def test_a_pace_that_wavers_by_a_few_hundredths_changes_a_plan_twice_at_most(clock: Clock) -> None:
    limit = Limit(300, started=clock.now, validation=2.0, scoring=6.0)
    total, step, changes = 270, 0, 0
    while step < total:
        step += 1
        seconds = 1.04 if step // 30 % 2 else 0.98
        clock.now += seconds
        limit.took(seconds)
        if new := limit.advice(step, total, 54):
            total, changes = new, changes + 1
        if step % 54 == 0 or step == total:
            clock.now += 2.0
            limit.validated(2.0)
    assert changes <= 2 and 0.9 * 300 <= limit.spent + limit.scoring <= 1.03 * 300
