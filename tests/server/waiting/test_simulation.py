"""Schedules worked by hand."""

import math

import pytest

from server.waiting.durations import Duration
from server.waiting.simulation import Slot, beyond, pace, schedule


def measured(seconds: float) -> Duration:
    return Duration(seconds, is_measured=True)


def estimated(seconds: float) -> Duration:
    return Duration(seconds, is_measured=False)


def test_one_worker_does_jobs_one_after_another_once_it_is_free() -> None:
    job = {"a": measured(60.0)}
    assert schedule([job, job, job], {"a": measured(25.0)}) == [
        Slot(25.0, 85.0, True),
        Slot(85.0, 145.0, True),
        Slot(145.0, 205.0, True),
    ]


def test_each_job_goes_to_the_worker_that_is_free_first() -> None:
    # Free: a at 0, b at 10. Jobs take 30 on a and 100 on b.
    job = {"a": measured(30.0), "b": measured(100.0)}
    slots = schedule([job] * 4, {"a": measured(0.0), "b": measured(10.0)})
    # a: 0-30, b: 10-110, a: 30-60, a: 60-90.
    assert [(slot.start, slot.end) for slot in slots if slot] == [
        (0.0, 30.0),
        (10.0, 110.0),
        (30.0, 60.0),
        (60.0, 90.0),
    ]


def test_a_job_for_few_workers_does_not_hold_up_those_behind_it() -> None:
    only_b, any_worker = {"b": measured(50.0)}, {"a": measured(5.0), "b": measured(50.0)}
    slots = schedule([only_b, any_worker, only_b], {"a": measured(20.0), "b": measured(0.0)})
    # b: 0-50, then 50-100; a takes the job between them at 20.
    assert [(slot.start, slot.end) for slot in slots if slot] == [(0, 50), (20, 25), (50, 100)]


def test_a_job_that_no_worker_may_take_has_no_slot_and_delays_none() -> None:
    job = {"a": measured(5.0)}
    assert schedule([{}, job], {"a": measured(0.0)}) == [None, Slot(0.0, 5.0, True)]


def test_an_estimate_marks_all_that_rests_on_it() -> None:
    guess, known = {"a": estimated(40.0)}, {"a": measured(10.0)}
    slots = schedule([known, guess, known], {"a": measured(0.0)})
    assert [slot.is_measured for slot in slots if slot] == [True, False, False]


def test_what_nobody_timed_leaves_later_starts_open() -> None:
    untimed = {"a": estimated(math.inf)}
    first, second = schedule([untimed, untimed], {"a": measured(0.0)})
    assert first == Slot(0.0, math.inf, False)
    assert second == Slot(math.inf, math.inf, False)


def test_behind_the_simulated_jobs_the_queue_goes_on_at_their_pace() -> None:
    job = {"a": measured(60.0), "b": measured(20.0)}
    later = pace(schedule([{"a": measured(60.0)}] * 10, {"a": measured(0.0)}))
    # The tenth starts after 540 s, so with 25 jobs ahead it is 540 × 25 / 10.
    assert beyond(later, 25, job) == Slot(1350.0, 1370.0, True)
    assert beyond(later, 25, {}) is None


@pytest.mark.parametrize("jobs", [[], [{}]])
def test_where_nothing_was_simulated_a_job_starts_at_once(jobs: list) -> None:
    assert beyond(pace(schedule(jobs, {})), 1, {"a": measured(3.0)}) == Slot(0.0, 3.0, True)
