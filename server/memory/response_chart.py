"""Where to draw how the loss answers to a setting: values from left to right, effects upwards."""

import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from pydantic import JsonValue

from server.axis import Axis, Tick, linear_axis, log_axis
from server.formatting import setting as written
from server.memory.settings import SettingMemory, TriedExperiment, in_order

LEFT, RIGHT, TOP, BOTTOM = 48.0, 346.0, 12.0, 170.0
"""Edges of the area of the points, in a picture 360 wide and 200 high."""
DECADE = 10.0
"""Ratio of the largest value to the smallest from which the axis is logarithmic."""
MAX_NAMED = 8
"""Values that are written beside each other."""
CHARACTER = 5.5
"""Width of a character."""
OUTLIER = 4.0
"""An effect beyond so many times the upper quartile is drawn at the edge: one run that diverged
would press all others flat."""
APART = 4.0
"""Distance of experiments that share a value."""
MAX_SPREAD = 24.0
"""Width that they take at most."""
INSET = 12.0
"""Distance of the outermost numbers from the edges."""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """An experiment's place."""

    x: float
    y: float
    low_y: float | None
    """Height of its interval's lower end; None without a verdict."""
    high_y: float | None
    """Height of its interval's upper end."""
    is_alone: bool
    """Whether nothing else was changed."""
    is_beyond: bool
    """Whether its effect lies outside of the picture."""


@dataclass(frozen=True, kw_only=True)
class ResponseChart:
    """Places of the parts of a picture 360 wide and 200 high."""

    marks: tuple[Mark, ...]
    """Those that changed nothing else last, so that they lie on top."""
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    zero_y: float
    """Height of no effect."""
    baseline_x: float | None
    """Place of the baseline's value; None where it has none."""
    is_log: bool


def response_chart(setting: SettingMemory) -> ResponseChart | None:
    """The chart of a page's experiments; None where none has an effect."""
    tried = [experiment for value in setting.values for experiment in value.experiments]
    if not any(experiment.delta is not None for experiment in tried):
        return None
    values = [value.value for value in setting.values]
    scale = _Scale(values if setting.baseline is None else [*values, setting.baseline])
    y_axis = _effects(tried)
    marks = [
        mark
        for value in setting.values
        for mark in _marks(scale.place(value.value), value.experiments, y_axis)
    ]
    return ResponseChart(
        marks=tuple(sorted(marks, key=lambda mark: mark.is_alone)),
        x_ticks=scale.ticks,
        y_ticks=y_axis.ticks,
        zero_y=y_axis.place(0.0),
        baseline_x=None if setting.baseline is None else scale.place(setting.baseline),
        is_log=scale.is_log,
    )


class _Scale:
    """Where values stand: by their size if they are numbers, else side by side."""

    def __init__(self, values: Sequence[JsonValue]) -> None:
        numbers = [float(value) for value in values if _is_number(value)]
        low, high = min(numbers, default=0.0), max(numbers, default=0.0)
        self._names: list[str] = []
        if len(numbers) < len(values) or _needs_names(numbers):
            self._names = list(dict.fromkeys(map(_name, sorted(values, key=in_order))))
            self._axis = linear_axis(-0.5, len(self._names) - 0.5, LEFT, RIGHT)
        elif low > 0 and high / low >= DECADE:
            self._axis = log_axis(low, high, LEFT + INSET, RIGHT - INSET)
        else:
            self._axis = linear_axis(low, high, LEFT + INSET, RIGHT - INSET)
        self.is_log = self._axis.is_log
        self.ticks = _named_ticks(self._names, self._axis) if self._names else self._axis.ticks

    def place(self, value: JsonValue) -> float:
        """How far to the right a value stands."""
        if self._names:
            return self._axis.place(self._names.index(_name(value)))
        assert _is_number(value)
        return self._axis.place(value)


def _is_number(value: JsonValue) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _needs_names(numbers: Sequence[float]) -> bool:
    """Whether zero, which has no logarithm, stands among few numbers that span decades."""
    positive = [number for number in numbers if number > 0]
    if not positive or min(numbers) != 0 or len(set(numbers)) > MAX_NAMED:
        return False
    return max(positive) / min(positive) >= DECADE


def _name(value: JsonValue) -> str:
    return json.dumps(value, sort_keys=True)


def _named_ticks(names: Sequence[str], axis: Axis) -> tuple[Tick, ...]:
    """The values as they are written; none where there are too many to be read."""
    if len(names) > MAX_NAMED:
        return ()
    room = int((RIGHT - LEFT) / len(names) / CHARACTER)
    texts = (written(json.loads(name)) for name in names)
    return tuple(
        Tick(
            place=axis.place(index),
            text=text if len(text) <= room else f"{text[: max(1, room - 1)]}…",
        )
        for index, text in enumerate(texts)
    )


def _effects(tried: Sequence[TriedExperiment]) -> Axis:
    """The axis of effects: all of them but outliers, and intervals that are not far wider."""
    deltas = [experiment.delta for experiment in tried if experiment.delta is not None]
    verdicts = [experiment.verdict for experiment in tried if experiment.verdict is not None]
    sizes = sorted(abs(delta) for delta in deltas)
    reach = sizes[-1]
    if len(sizes) > 4:
        reach = min(reach, OUTLIER * statistics.quantiles(sizes, n=4)[2]) or reach
    ends = [end for verdict in verdicts for end in (verdict.low, verdict.high)]
    lows = [max(value, -reach) for value in deltas] + [max(end, -2 * reach) for end in ends]
    highs = [min(value, reach) for value in deltas] + [min(end, 2 * reach) for end in ends]
    return linear_axis(min(0.0, *lows), max(0.0, *highs), BOTTOM, TOP, signed=True)


def _marks(x: float, experiments: Sequence[TriedExperiment], y_axis: Axis) -> Iterator[Mark]:
    """Experiments of one value, side by side."""
    known = [(one, one.delta) for one in experiments if one.delta is not None]
    apart = min(APART, MAX_SPREAD / max(1, len(known)))
    for index, (experiment, delta) in enumerate(known):
        verdict = experiment.verdict
        yield Mark(
            x=round(x + apart * (index - (len(known) - 1) / 2), 2),
            y=y_axis.place(delta),
            low_y=None if verdict is None else y_axis.place(verdict.low),
            high_y=None if verdict is None else y_axis.place(verdict.high),
            is_alone=experiment.is_only_change,
            is_beyond=not y_axis.holds(delta),
        )
