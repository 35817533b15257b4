import pytest

from core.optim.schedule import learning_rate_factor
from core.schema.experiment import ScheduleConfig

COSINE = ScheduleConfig(kind="cosine", warmup_fraction=0.1, final_fraction=0.2)


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (0, 0.1),
        (4, 0.5),
        (9, 1.0),
        (54, 0.6),  # half way: 0.2 + 0.8 × 0.5
        (99, 0.2),
    ],
)
def test_warm_up_then_cosine_worked_by_hand(step, expected):
    assert learning_rate_factor(COSINE, step, 100) == pytest.approx(expected)


def test_without_warm_up_the_first_step_is_near_the_peak():
    schedule = ScheduleConfig(warmup_fraction=0.0, final_fraction=0.0)
    assert learning_rate_factor(schedule, 0, 1000) > 0.999
    assert learning_rate_factor(schedule, 999, 1000) == pytest.approx(0.0)


def test_constant_stays_at_the_peak():
    schedule = ScheduleConfig(kind="constant", warmup_fraction=0.5)
    assert [learning_rate_factor(schedule, step, 4) for step in range(4)] == [0.5, 1.0, 1.0, 1.0]


def test_one_step_is_a_whole_schedule():
    assert learning_rate_factor(ScheduleConfig(), 0, 1) == pytest.approx(0.1)
