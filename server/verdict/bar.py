"""An interval of a difference as a small bar, on a scale that all rows of a table share."""

from collections.abc import Iterable
from dataclasses import dataclass

from server.verdict.judge import Judgement
from server.verdict.view import ExperimentVerdict

WIDTH = 100.0
"""Units from end to end."""


@dataclass(frozen=True, kw_only=True)
class IntervalBar:
    """Where to draw, in units from the left; zero stands in the middle."""

    left: float
    width: float
    point: float
    """Place of the difference itself."""


def interval_bars(
    verdicts: Iterable[ExperimentVerdict | Judgement | None],
) -> tuple[IntervalBar | None, ...]:
    """One bar for each verdict, all on one scale; None where there is none.

    The scale covers the largest difference, and intervals as far as they are not wider than
    twice that: the uncertain rows of a new board would hide all others.
    """
    found = list(verdicts)
    deltas = [abs(verdict.delta) for verdict in found if verdict is not None]
    ends = [max(abs(v.low), abs(v.high)) for v in found if v is not None]
    reach = min(max(ends, default=0.0), 2 * max(deltas, default=0.0)) or max(ends, default=0.0)
    return tuple(None if verdict is None else _bar(verdict, reach) for verdict in found)


def _bar(verdict: ExperimentVerdict | Judgement, reach: float) -> IntervalBar:
    left, right, point = (
        _place(value, reach) for value in (verdict.low, verdict.high, verdict.delta)
    )
    return IntervalBar(left=left, width=right - left, point=point)


def _place(value: float, reach: float) -> float:
    share = 0.0 if reach == 0 else max(-1.0, min(1.0, value / reach))
    return round(WIDTH / 2 * (1 + share), 2)
