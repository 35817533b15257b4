"""Fewer points of a curve, without losing what a reader looks for."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

MAX_POINTS = 500
MIN_LIMIT = 4


@dataclass(frozen=True)
class Curve:
    """Points of one metric in order of their steps; all tuples are equally long."""

    steps: tuple[int, ...] = ()
    tokens: tuple[int, ...] = ()
    train_seconds: tuple[float, ...] = ()
    values: tuple[float, ...] = ()
    level: int = 0
    """Points were left out within stretches of 2 to the power of so many steps; 0 for none."""

    def followed_by(self, other: "Curve") -> "Curve":
        """This curve with points of later steps."""
        return Curve(
            self.steps + other.steps,
            self.tokens + other.tokens,
            self.train_seconds + other.train_seconds,
            self.values + other.values,
            max(self.level, other.level),
        )

    def condensed(self, limit: int = MAX_POINTS) -> "Curve":
        """At most `limit` of the points: first, last, and the extremes between.

        Each stretch of steps keeps its smallest and its largest value, so a spike of one step
        survives. Stretches begin at multiples of a power of two: a curve that was condensed and
        then followed by others comes to the same as all points at once.
        """
        if limit < MIN_LIMIT:
            raise ValueError(f"limit is {limit}; at least {MIN_LIMIT} points are needed")
        if self.level == 0 and len(self.values) <= limit:
            return self
        level = max(self.level, _level(self.steps[0], self.steps[-1], limit))
        kept = _kept(self.steps, self.values, level)
        return Curve(
            tuple(self.steps[place] for place in kept),
            tuple(self.tokens[place] for place in kept),
            tuple(self.train_seconds[place] for place in kept),
            tuple(self.values[place] for place in kept),
            level,
        )


def _level(first: int, last: int, limit: int) -> int:
    """The shortest stretches of which there are few enough, two points each."""
    level = 0
    while (last >> level) - (first >> level) + 1 > (limit - 2) // 2:
        level += 1
    return level


def _kept(steps: Sequence[int], values: Sequence[float], level: int) -> list[int]:
    """Places of the first and the last point, and of the extremes of each stretch."""
    kept = {0, len(values) - 1}
    start = 0
    while start < len(values):
        stop = bisect_left(steps, ((steps[start] >> level) + 1) << level, start)
        stretch = values[start:stop]
        kept.add(start + stretch.index(min(stretch)))
        kept.add(start + stretch.index(max(stretch)))
        start = stop
    return sorted(kept)
