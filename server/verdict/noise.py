"""How much equal runs of a board differ: one deviation, pooled over its experiments.

One experiment has too few runs to tell its deviation well: that of three runs comes out below
half of the true one in every fifth case. Experiments of one board differ in their means more than
in their noise, so all of them estimate it together.
"""

import math
import statistics
from collections.abc import Sequence

from pydantic import Field

from core.schema.base import Message

MIN_DEVIATION = 1e-6
"""Least deviation of the validation loss, in nats, or runs that agree to the last bit would give an
interval without width. It is about the distance of neighbouring 32-bit numbers near such losses."""
MAX_RATIO = 5.0
"""An experiment whose runs deviate more than this many times the board's typical deviation is left
out of the pool: one that is near divergence would blur every other verdict."""


class Noise(Message):
    """Deviation between runs of one experiment that differ by the seed alone."""

    deviation: float = Field(gt=0)
    """Standard deviation of the validation loss, in nats."""
    degrees: int = Field(ge=1)
    """Degrees of freedom of the estimate."""


def pooled_noise(groups: Sequence[Sequence[float]]) -> Noise | None:
    """Pool the deviation within experiments over a board.

    The variances are averaged by their degrees of freedom, one fewer than runs. The typical
    deviation is their median, weighted in the same way.

    Args:
        groups: Validation losses of each experiment's runs, the baseline among them. Experiments
            of fewer than two runs say nothing.

    Returns:
        The noise; None where no experiment has two runs.

    Raises:
        ValueError: a loss is not finite.
    """
    check_finite("groups", [loss for group in groups for loss in group])
    estimates = [(statistics.stdev(group), len(group) - 1) for group in groups if len(group) > 1]
    if not estimates:
        return None
    typical = statistics.median_low(
        [deviation for deviation, degrees in estimates for _ in range(degrees)]
    )
    limit = MAX_RATIO * max(typical, MIN_DEVIATION)
    kept = [(deviation, degrees) for deviation, degrees in estimates if deviation <= limit]
    total = sum(degrees for _, degrees in kept)
    variance = sum(deviation**2 * degrees for deviation, degrees in kept) / total
    return Noise(deviation=max(math.sqrt(variance), MIN_DEVIATION), degrees=total)


def check_finite(name: str, losses: Sequence[float]) -> None:
    """Refuse NaN and infinities.

    Raises:
        ValueError: a loss is not finite.
    """
    for loss in losses:
        if not math.isfinite(loss):
            raise ValueError(f"{name} holds {loss}; a validation loss must be a finite number")
