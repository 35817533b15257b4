"""The learning rate over the course of training."""

import math

from core.schema.experiment import ScheduleConfig


def learning_rate_factor(schedule: ScheduleConfig, step: int, num_steps: int) -> float:
    """Share of the peak learning rate in a step.

    The warm-up rises linearly and reaches 1 in its last step; the cosine (arXiv:1608.03983)
    then falls from 1 and reaches `final_fraction` in the last step.

    Args:
        step: the step, counted from 0, below num_steps.
    """
    warmup_steps = round(schedule.warmup_fraction * num_steps)
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    if schedule.kind == "constant":
        return 1.0
    progress = (step + 1 - warmup_steps) / max(1, num_steps - warmup_steps)
    cosine = 0.5 * (1.0 + math.cos(math.pi * progress))
    return schedule.final_fraction + (1.0 - schedule.final_fraction) * cosine
