"""The losses behind a verdict as points: this experiment's above the baseline's, on one axis."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from server.verdict.looks import LOOKS
from server.verdict.view import ExperimentVerdict

MARGIN = 3.0
"""Free space on both sides, in percent of the width."""
MAX_POINTS = LOOKS[-1]
"""Runs drawn of one side: no verdict counts more."""


@dataclass(frozen=True, kw_only=True)
class StripPoint:
    """A run's place; `x` is percent from the left."""

    x: float
    seed: int
    val_loss: float
    is_counted: bool
    """Whether the verdict rests on it; it counts no run between two of its looks."""


@dataclass(frozen=True, kw_only=True)
class StripSide:
    """The runs of one side."""

    points: tuple[StripPoint, ...]
    """In the order of seeds."""
    num_counted: int
    """Runs that the mean is taken of."""
    mean: float
    """Mean loss of those, in nats."""
    mean_x: float
    """Its place."""


@dataclass(frozen=True, kw_only=True)
class StripInterval:
    """The interval of the difference, laid on the baseline's mean: where this one's mean may be."""

    left: float
    width: float
    low: float
    """Loss at its lower end."""
    high: float
    """Loss at its upper end."""


@dataclass(frozen=True, kw_only=True)
class LossStrip:
    """Two rows of points on one axis."""

    own: StripSide
    baseline: StripSide
    interval: StripInterval | None
    """None without a verdict."""
    low: float
    """Smallest loss on the axis, at `MARGIN`."""
    high: float
    """Largest loss, as far from the right."""


def loss_strip(
    own: Mapping[int, float], baseline: Mapping[int, float], verdict: ExperimentVerdict | None
) -> LossStrip:
    """Place the losses of both sides; each has at least one.

    Args:
        own: losses by seed, in the order in which a verdict counts them.
        baseline: the same of the baseline.
        verdict: what was taken of them, if it was.
    """
    num_own = verdict.num_runs if verdict else len(own)
    num_baseline = verdict.num_baseline_runs if verdict else len(baseline)
    middle = _mean(baseline, num_baseline)
    ends = (middle + verdict.low, middle + verdict.high) if verdict else ()
    shown = [*list(own.values())[:MAX_POINTS], *list(baseline.values())[:MAX_POINTS], *ends]
    scale = _Scale(min(shown), max(shown))
    interval = None
    if ends:
        left, right = map(scale.place, ends)
        width = round(right - left, 2)
        interval = StripInterval(left=left, width=width, low=ends[0], high=ends[1])
    return LossStrip(
        own=_side(own, num_own, scale),
        baseline=_side(baseline, num_baseline, scale),
        interval=interval,
        low=scale.low,
        high=scale.high,
    )


@dataclass(frozen=True)
class _Scale:
    """The losses at both ends of the axis."""

    low: float
    high: float

    def place(self, loss: float) -> float:
        """Percent from the left; the middle if all losses are equal."""
        share = (loss - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return round(MARGIN + share * (100 - 2 * MARGIN), 2)


def _mean(losses: Mapping[int, float], num_counted: int) -> float:
    return statistics.fmean(list(losses.values())[:num_counted])


def _side(losses: Mapping[int, float], num_counted: int, scale: _Scale) -> StripSide:
    mean = _mean(losses, num_counted)
    points = tuple(
        StripPoint(x=scale.place(loss), seed=seed, val_loss=loss, is_counted=number < num_counted)
        for number, (seed, loss) in enumerate(list(losses.items())[:MAX_POINTS])
    )
    counted = min(num_counted, len(losses))
    return StripSide(points=points, num_counted=counted, mean=mean, mean_x=scale.place(mean))
