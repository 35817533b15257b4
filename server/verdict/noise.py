"""How much equal runs of a board differ: one deviation, pooled over its experiments.

One experiment has too few runs to tell its deviation well: that of three runs comes out below
half of the true one in every fifth case. Experiments of one board differ in their means more than
in their noise, so all of them estimate it together.
"""

import math
import statistics
from collections.abc import Collection, Sequence
from typing import NamedTuple

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


class Spread(NamedTuple):
    """How much the runs of one experiment differ."""

    deviation: float
    """Standard deviation of their validation losses, in nats."""
    degrees: int
    """One fewer than runs."""


def spread_of(losses: Sequence[float]) -> Spread | None:
    """The spread of an experiment's runs; None of fewer than two."""
    return Spread(statistics.stdev(losses), len(losses) - 1) if len(losses) > 1 else None


def pooled_noise(groups: Sequence[Sequence[float]]) -> Noise | None:
    """Pool the deviation within experiments over a board.

    Args:
        groups: Validation losses of each experiment's runs, the baseline among them. Experiments
            of fewer than two runs say nothing.

    Returns:
        The noise; None where no experiment has two runs.

    Raises:
        ValueError: a loss is not finite.
    """
    check_finite("groups", [loss for group in groups for loss in group])
    return pooled_spreads([one for group in groups if (one := spread_of(group)) is not None])


def pooled_spreads(spreads: Collection[Spread]) -> Noise | None:
    """The noise that the spreads of a board's experiments come to; None without any.

    The variances are averaged by their degrees of freedom. The typical deviation is their median,
    weighted in the same way.
    """
    if not spreads:
        return None
    typical = _weighted_median(spreads)
    limit = MAX_RATIO * max(typical, MIN_DEVIATION)
    kept = [spread for spread in spreads if spread.deviation <= limit]
    total = sum(spread.degrees for spread in kept)
    variance = math.fsum(spread.deviation**2 * spread.degrees for spread in kept) / total
    return Noise(deviation=max(math.sqrt(variance), MIN_DEVIATION), degrees=total)


def _weighted_median(spreads: Collection[Spread]) -> float:
    """The lower median of the deviations, each as often as it has degrees."""
    half = (sum(spread.degrees for spread in spreads) + 1) // 2
    for spread in sorted(spreads):
        half -= spread.degrees
        if half <= 0:
            return spread.deviation
    raise ValueError("there is no spread")


def check_finite(name: str, losses: Sequence[float]) -> None:
    """Refuse NaN and infinities.

    Raises:
        ValueError: a loss is not finite.
    """
    for loss in losses:
        if not math.isfinite(loss):
            raise ValueError(f"{name} holds {loss}; a validation loss must be a finite number")
