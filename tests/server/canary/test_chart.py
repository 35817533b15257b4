import pytest

from server.canary.chart import control_limits
from server.verdict.noise import Noise

NOISE = Noise(deviation=0.01, degrees=4)


def test_limits_are_three_deviations_around_the_mean() -> None:
    # Mean 2, deviation √((0.04² + 0 + 0.04²) / 2) = 0.04.
    limits = control_limits([1.96, 2.0, 2.04], NOISE)
    assert limits is not None
    assert limits.centre == pytest.approx(2.0)
    assert limits.deviation == pytest.approx(0.04)
    assert (limits.low, limits.high) == pytest.approx((1.88, 2.12))


def test_the_boards_noise_is_the_least_deviation() -> None:
    limits = control_limits([2.0, 2.0, 2.0], NOISE)
    assert limits is not None
    assert (limits.low, limits.high) == pytest.approx((1.97, 2.03))


def test_a_loss_beyond_a_limit_is_out() -> None:
    limits = control_limits([2.0, 2.0, 2.0], NOISE)
    assert limits is not None
    assert [limits.hold(loss) for loss in (1.969, 1.971, 2.029, 2.031)] == [
        False,
        True,
        True,
        False,
    ]


def test_two_canaries_are_too_few() -> None:
    assert control_limits([2.0, 2.0], NOISE) is None


def test_a_board_without_noise_has_no_limits() -> None:
    assert control_limits([2.0, 2.0, 2.0], None) is None


def test_a_slow_drift_does_not_move_the_limits() -> None:
    steady = [2.0] * 10
    assert control_limits([*steady, 2.02, 2.02, 2.02], NOISE) == control_limits(steady, NOISE)
