"""Axes of the pictures that the server draws: where a number stands, and which are written."""

import math
from dataclasses import dataclass

from server.formatting import MINUS

MAX_TICKS = 5


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A number, or a name, that is written at its place."""

    place: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A scale from one edge of a picture to the other."""

    low: float
    """Number at the start."""
    high: float
    """Number at the end."""
    start: float
    end: float
    is_log: bool
    ticks: tuple[Tick, ...]

    def place(self, value: float) -> float:
        """Where a number stands; one beyond an edge stands at the edge."""
        return _place(value, self.low, self.high, self.start, self.end, self.is_log)

    def holds(self, value: float) -> bool:
        """Whether a number lies between the edges."""
        return self.low <= value <= self.high


def linear_axis(low: float, high: float, start: float, end: float, *, signed: bool = False) -> Axis:
    """An axis on which equal differences are equally far apart."""
    if low == high:
        low, high = low - (abs(low) or 1.0) / 10, high + (abs(high) or 1.0) / 10
    step = _step((high - low) / MAX_TICKS)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    numbers = [float(f"{index * step:.10g}") for index in range(first, last + 1)]
    return _axis(low, high, start, end, False, numbers, signed)


def log_axis(low: float, high: float, start: float, end: float) -> Axis:
    """An axis on which equal ratios are equally far apart; both ends are above zero."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    inside = [
        [
            number
            for ten in range(first, last + 1)
            for digit in digits
            if low <= (number := float(f"{digit}e{ten}")) <= high
        ]
        for digits in ((1, 2, 5), (1, 3), (1,))
    ]
    numbers = next((some for some in inside if len(some) <= MAX_TICKS), inside[-1])
    every = math.ceil(len(numbers) / MAX_TICKS)
    return _axis(low, high, start, end, True, numbers[::every], False)


def _axis(
    low: float,
    high: float,
    start: float,
    end: float,
    is_log: bool,
    numbers: list[float],
    signed: bool,
) -> Axis:
    ticks = tuple(
        Tick(place=_place(number, low, high, start, end, is_log), text=_text(number, signed))
        for number in numbers
    )
    return Axis(low=low, high=high, start=start, end=end, is_log=is_log, ticks=ticks)


def _place(value: float, low: float, high: float, start: float, end: float, is_log: bool) -> float:
    value = min(high, max(low, value))
    if is_log:
        value, low, high = math.log(value), math.log(low), math.log(high)
    return round(start + (value - low) / (high - low) * (end - start), 2)


def _step(least: float) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that is no smaller."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * digit for digit in (1, 2, 5, 10) if power * digit >= least * (1 - 1e-9))


def _text(number: float, signed: bool) -> str:
    plus = "+" if signed and number > 0 else ""
    return f"{plus}{number:g}".replace("-", MINUS)
