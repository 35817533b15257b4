"""What training steps measured, and the metric points that become of it."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from core.errors import Diverged
from core.schema.metric_point import MetricPoint
from core.schema.optimizer_config import OptimizerConfig
from core.train.expert_load import expert_load
from core.training_plan import StepShape


class StepRecord(NamedTuple):
    """A step whose numbers may still be on their way from the device."""

    number: int
    """Counted from 1."""
    tokens: int
    """Tokens read when it was done."""
    shape: StepShape
    loss: Tensor
    gradient_norm: Tensor
    factor: float
    """Share of the peak learning rates."""
    is_recorded: bool
    """Whether it becomes a metric point."""
    expert_counts: Tensor | None = None
    """Visits to each expert of each layer; None if it is not recorded, or all is dense."""


def metric_points(
    steps: Sequence[StepRecord],
    seconds_before: float,
    seconds_per_step: float,
    optimizer: OptimizerConfig,
) -> list[MetricPoint]:
    """Metric points of consecutive steps, their time spread evenly over them.

    Args:
        seconds_before: training time before the first of them.

    Raises:
        Diverged: a recorded step, or the last one, has a number that is not finite.
    """
    points: list[MetricPoint] = []
    for index, step in enumerate(steps, start=1):
        if not (step.is_recorded or index == len(steps)):
            continue
        loss, norm = step.loss.item(), step.gradient_norm.item()
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise Diverged(
                f"step {step.number}: training loss {loss}, gradient norm {norm}; "
                "both must be finite numbers"
            )
        if step.is_recorded:
            load = expert_load(step.expert_counts)
            points.append(
                MetricPoint(
                    step=step.number,
                    tokens=step.tokens,
                    train_seconds=seconds_before + seconds_per_step * index,
                    train_loss=loss,
                    learning_rate=optimizer.muon.learning_rate * step.factor,
                    adamw_learning_rate=optimizer.adamw.learning_rate * step.factor,
                    gradient_norm=norm,
                    tokens_per_second=step.shape.tokens / seconds_per_step,
                    expert_max_violation=load.max_violation,
                    worst_expert_max_violation=load.worst_max_violation,
                    idle_expert_share=load.idle_share,
                )
            )
    return points
