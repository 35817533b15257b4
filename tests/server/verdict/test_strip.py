import pytest

from server.verdict.judge import Verdict
from server.verdict.strip import MAX_POINTS, loss_strip
from server.verdict.view import ExperimentVerdict


def verdict(low: float, high: float, num_runs: int, num_baseline_runs: int) -> ExperimentVerdict:
    return ExperimentVerdict(
        verdict=Verdict.UNRESOLVED,
        delta=(low + high) / 2,
        low=low,
        high=high,
        num_runs=num_runs,
        num_baseline_runs=num_baseline_runs,
        further_runs=None,
        next_look=None,
        is_record=False,
        refuted="",
    )


def test_both_sides_and_the_interval_share_one_axis() -> None:
    strip = loss_strip({7: 1.5, 8: 2.5}, {7: 2.0, 8: 4.0}, verdict(-2.0, 0.0, 2, 2))
    # The interval runs from 3 - 2 to 3 + 0; losses 1 to 4 fill 3 % up to 97 %.
    assert (strip.low, strip.high) == (1.0, 4.0)
    assert [point.x for point in strip.own.points] == [18.67, 50.0]
    assert [point.x for point in strip.baseline.points] == [34.33, 97.0]
    assert (strip.own.mean, strip.own.mean_x) == (2.0, 34.33)
    assert (strip.baseline.mean, strip.baseline.mean_x) == (3.0, 65.67)
    assert strip.interval is not None
    assert (strip.interval.left, strip.interval.width) == (3.0, 62.67)
    assert (strip.interval.low, strip.interval.high) == (1.0, 3.0)


def test_runs_after_the_latest_look_are_drawn_but_not_in_the_mean() -> None:
    strip = loss_strip({7: 1.0, 8: 9.0}, {7: 2.0, 8: 3.0}, verdict(-1.0, 1.0, 1, 2))
    assert [(point.seed, point.is_counted) for point in strip.own.points] == [(7, True), (8, False)]
    assert (strip.own.mean, strip.own.num_counted) == (1.0, 1)


def test_without_a_verdict_all_count_and_there_is_no_interval() -> None:
    strip = loss_strip({7: 1.0, 8: 2.0}, {7: 3.0}, None)
    assert strip.interval is None
    assert (strip.own.mean, strip.own.num_counted) == (1.5, 2)


def test_equal_losses_stand_in_the_middle() -> None:
    strip = loss_strip({7: 2.0}, {7: 2.0}, None)
    assert strip.own.points[0].x == strip.baseline.mean_x == 50.0


def test_no_more_points_than_a_verdict_can_count() -> None:
    strip = loss_strip({7: 2.0}, dict.fromkeys(range(500), 2.0), None)
    assert len(strip.baseline.points) == MAX_POINTS


def test_a_side_without_losses_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one data point"):
        loss_strip({7: 2.0}, {}, None)
