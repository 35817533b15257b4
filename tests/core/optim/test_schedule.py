import math
from itertools import pairwise

import pytest

from core.optim.schedule import learning_rate_factor, muon_momentum
from core.schema.optimizer_config import MuonConfig
from core.schema.training_config import ScheduleConfig

COSINE = ScheduleConfig(kind="cosine", warmup_fraction=0.1, final_fraction=0.2)


def factor(schedule, step, num_steps):
    """Factor in a step, counted from 0, of equal steps."""
    return learning_rate_factor(schedule, step / num_steps, (step + 1) / num_steps)


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
    assert factor(COSINE, step, 100) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (9, 1.0),
        (54, 0.6),
        (77, 1.0 - 0.8 * 68 / 90),
        (99, 0.2),
    ],
)
def test_warm_up_then_a_line_worked_by_hand(step, expected):
    linear = COSINE.model_copy(update={"kind": "linear"})
    assert factor(linear, step, 100) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (4, 0.5),
        (9, 1.0),
        (50, 1.0),
        (79, 1.0),
        (84, 0.8),  # a quarter of the fall from 1 to 0.2
        (89, 0.6),
        (99, 0.2),
    ],
)
def test_warm_up_then_flat_then_down_worked_by_hand(step, expected):
    trapezoid = ScheduleConfig(
        kind="warmup_stable_decay", warmup_fraction=0.1, decay_fraction=0.2, final_fraction=0.2
    )
    assert factor(trapezoid, step, 100) == pytest.approx(expected)


def test_constant_stays_at_the_peak():
    schedule = ScheduleConfig(kind="constant", warmup_fraction=0.5)
    assert [factor(schedule, step, 4) for step in range(4)] == [0.5, 1.0, 1.0, 1.0]


def test_without_warm_up_the_first_step_is_near_the_peak():
    schedule = ScheduleConfig(warmup_fraction=0.0, final_fraction=0.0)
    assert factor(schedule, 0, 1000) > 0.999
    assert factor(schedule, 999, 1000) == pytest.approx(0.0)


@pytest.mark.parametrize("kind", ["cosine", "linear", "warmup_stable_decay"])
def test_one_step_is_a_whole_schedule(kind):
    assert factor(ScheduleConfig(kind=kind), 0, 1) == pytest.approx(0.1)


@pytest.mark.parametrize("num_steps", [7, 24, 250, 270, 500, 6000])
def test_equal_steps_warm_up_over_the_nearest_whole_number_of_them(num_steps):
    # 250 and 270 steps have 12.5 and 13.5 of warm-up; halves go to the even number.
    warmup_steps = round(0.05 * num_steps)
    schedule = ScheduleConfig(warmup_fraction=0.05, final_fraction=0.1)
    for step in range(0, num_steps, max(1, num_steps // 250)):
        if step < warmup_steps:
            expected = (step + 1) / warmup_steps
        else:
            progress = (step + 1 - warmup_steps) / (num_steps - warmup_steps)
            expected = 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * progress))
        assert factor(schedule, step, num_steps) == pytest.approx(expected, rel=1e-9)


def test_unequal_steps_end_at_the_final_fraction():
    linear = ScheduleConfig(kind="linear", warmup_fraction=0.1, final_fraction=0.0)
    factors = [
        learning_rate_factor(linear, before, after)
        for before, after in pairwise([0.0, 0.1, 0.3, 0.6, 1.0])
    ]
    # The warm-up is one step of the first size, and no whole one of the later sizes.
    assert factors == pytest.approx([1.0, 0.7, 0.4, 0.0])


def test_momentum_rises_from_its_start_over_the_first_share():
    config = MuonConfig(momentum=0.95, momentum_start=0.85, momentum_warmup_fraction=0.2)
    assert muon_momentum(config, 0.0) == 0.85
    assert muon_momentum(config, 0.1) == pytest.approx(0.9)
    assert muon_momentum(config, 0.2) == 0.95
    assert muon_momentum(config, 0.9) == 0.95


def test_without_a_warm_up_momentum_is_the_same_from_the_first_step():
    assert muon_momentum(MuonConfig(momentum=0.9), 0.0) == 0.9
