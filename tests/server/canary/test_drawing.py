from datetime import UTC, datetime

import pytest

from server.canary.drawing import drawing
from server.canary.view import CanaryPoint, ControlChart


def chart(losses: tuple[float, ...], limits: tuple[float, float, float] | None) -> ControlChart:
    low, centre, high = limits or (None, None, None)
    points = [
        CanaryPoint(
            run_id=f"r_{number}",
            val_loss=loss,
            tokens_per_second=1.0,
            relative_speed=None,
            setup="cpu",
            is_out=limits is not None and loss > limits[2],
            measured_at=datetime(2026, 1, number + 1, tzinfo=UTC),
        )
        for number, loss in enumerate(losses)
    ]
    return ControlChart(
        track="debug",
        comparability_key="k",
        points=tuple(points),
        centre=centre,
        low=low,
        high=high,
    )


def test_points_and_limits_share_a_scale_with_low_losses_below() -> None:
    drawn = drawing(chart((1.5, 2.0, 4.0), (1.0, 2.0, 3.0)))
    # 1.0 to 4.0 fills the heights 36 down to 4.
    assert (drawn.low_y, drawn.high_y) == pytest.approx((36.0, 36 - 32 * 2 / 3), abs=0.01)
    assert drawn.centre_y == pytest.approx(36 - 32 / 3, abs=0.01)
    assert [dot.x for dot in drawn.dots] == [4.0, 50.0, 96.0]
    assert [dot.y for dot in drawn.dots] == pytest.approx([36 - 32 / 6, 36 - 32 / 3, 4.0], abs=0.01)
    assert [dot.is_out for dot in drawn.dots] == [False, False, True]


def test_equal_points_without_limits_stand_in_the_middle() -> None:
    drawn = drawing(chart((2.0, 2.0), None))
    assert [dot.y for dot in drawn.dots] == [20.0, 20.0]
    assert (drawn.centre_y, drawn.low_y, drawn.high_y) == (None, None, None)
    assert drawn.path == "4.0,20.0 96.0,20.0"


def test_one_point_needs_no_scale() -> None:
    assert drawing(chart((2.0,), None)).path == "4.0,20.0"
