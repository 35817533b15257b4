import math

import pytest
import torch

from core.errors import Diverged
from core.schema.optimizer_config import OptimizerConfig
from core.train.step_record import StepRecord, metric_points
from core.training_plan import StepShape


def record(number, loss=2.0, is_recorded=True):
    return StepRecord(
        number=number,
        tokens=32 * number,
        shape=StepShape(4, 8),
        loss=torch.tensor(loss),
        gradient_norm=torch.tensor(1.0),
        factor=0.5,
        is_recorded=is_recorded,
    )


def test_a_chunks_time_is_spread_evenly_over_its_steps():
    steps = [record(11), record(12, is_recorded=False), record(13)]
    points = metric_points(steps, 10.0, 0.25, OptimizerConfig())
    assert [point.step for point in points] == [11, 13]
    assert [point.train_seconds for point in points] == [10.25, 10.75]
    assert [point.tokens for point in points] == [352, 416]
    assert points[0].tokens_per_second == 128.0
    assert (points[0].learning_rate, points[0].adamw_learning_rate) == (0.02, 0.003)


def test_a_point_has_the_spread_of_visits_where_there_are_experts():
    spread = record(1)._replace(expert_counts=torch.tensor([[3, 1]]))
    with_experts, dense = metric_points([spread, record(2)], 0.0, 1.0, OptimizerConfig())
    assert with_experts.expert_max_violation == with_experts.worst_expert_max_violation == 0.5
    assert with_experts.idle_expert_share == 0.0
    assert dense.expert_max_violation is dense.worst_expert_max_violation is None
    assert dense.idle_expert_share is None


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_the_last_step_must_be_finite_even_if_it_is_not_recorded(loss):
    steps = [record(1), record(2, loss, is_recorded=False)]
    with pytest.raises(Diverged, match="step 2: training loss"):
        metric_points(steps, 0.0, 1.0, OptimizerConfig())
