"""When an absent server is tried again."""

import pytest

from runner.work.outage import PATIENCE_SECONDS, Outage


def test_calls_are_allowed_until_one_fails():
    outage = Outage()
    assert outage.may_try(0.0)
    outage.failed(100.0)
    assert outage.is_on
    assert not outage.may_try(100.4)
    assert outage.may_try(101.0)


@pytest.mark.parametrize(("failures", "longest"), [(1, 1.0), (3, 4.0), (6, 10.0), (5000, 10.0)])
def test_waits_double_up_to_ten_seconds(failures, longest):
    outage = Outage()
    for _ in range(failures):
        outage.failed(0.0)
    assert not outage.may_try(longest / 2 - 0.01)
    assert outage.may_try(longest)


def test_patience_is_counted_from_the_first_failure_and_starts_anew_after_a_success():
    outage = Outage()
    outage.failed(0.0)
    outage.failed(PATIENCE_SECONDS - 1)
    assert not outage.is_hopeless(PATIENCE_SECONDS - 1)
    assert outage.is_hopeless(PATIENCE_SECONDS)
    outage.ended()
    outage.failed(PATIENCE_SECONDS)
    assert not outage.is_hopeless(PATIENCE_SECONDS + 1)
