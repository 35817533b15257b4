"""Learning rate and momentum over the course of training."""

import math

from core.schema.optimizer_config import MuonConfig
from core.schema.training_config import ScheduleConfig

_DIGITS = 6
"""Decimals of a number of steps; fewer than a rounding error of the shares has."""


def learning_rate_factor(
    schedule: ScheduleConfig, spent_before: float, spent_after: float
) -> float:
    """Share of the peak learning rate in a step.

    The warm-up rises linearly and reaches 1 in its last step; then the schedule falls, if it
    does, and reaches `final_fraction` in the step that spends the last of the budget.

    Args:
        spent_before: share of the budget that is spent before the step, from 0.
        spent_after: share that is spent after it, up to 1.
    """
    warmup = _whole_steps(schedule.warmup_fraction, spent_after - spent_before)
    if spent_after < warmup:
        return spent_after / warmup
    match schedule.kind:
        case "constant":
            return 1.0
        case "warmup_stable_decay":
            progress = 1.0 - min(1.0, (1.0 - spent_after) / schedule.decay_fraction)
        case "linear" | "cosine":
            progress = (spent_after - warmup) / max(1.0 - warmup, spent_after - spent_before)
    height = (
        0.5 * (1.0 + math.cos(math.pi * progress)) if schedule.kind == "cosine" else 1 - progress
    )
    return schedule.final_fraction + (1.0 - schedule.final_fraction) * height


def muon_momentum(muon: MuonConfig, spent_before: float) -> float:
    """Decay of the momentum in a step: from its start linearly up to its final value.

    Args:
        spent_before: share of the budget that is spent before the step.
    """
    if spent_before >= muon.momentum_warmup_fraction:
        return muon.momentum
    progress = spent_before / muon.momentum_warmup_fraction
    return muon.momentum_start + (muon.momentum - muon.momentum_start) * progress


def _whole_steps(share: float, step_share: float) -> float:
    """The nearest share of the budget that is a whole number of steps of this one's size."""
    return round(round(share / step_share, _DIGITS)) * step_share
