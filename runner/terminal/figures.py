"""Numbers as a person reads them."""

import json
from collections.abc import Callable, Mapping

from pydantic import JsonValue

from core.schema.track import GIB

SMALLEST_DOLLARS = 0.0001
MIB = 1024**2


def write_quantity(quantity: str, value: float | None, signed: bool = False) -> str:
    """A number of a kind, such as `nats` or `share`; a dash for None."""
    if value is None:
        return "–"
    text = WRITERS.get(quantity, _plain)(abs(value) if signed else value)
    if not signed:
        return text
    if quantity == "share":
        # A difference of shares is percentage points, which is not a relative change.
        text = text.replace("%", "pp")
    rounds_to_zero = not any(digit in text for digit in "123456789")
    return f"{'-' if value < 0 and not rounds_to_zero else '+'}{text}"


def write_duration(seconds: float) -> str:
    """Seconds as `12 s`, `3 min 20 s` or `2 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def write_dollars(value: float) -> str:
    """Dollars, with more digits where there are fewer of them."""
    if 0 < value < SMALLEST_DOLLARS:
        return f"under ${SMALLEST_DOLLARS}"
    return f"${value:.2f}" if value >= 1 else f"${value:.4f}"


def write_bytes(value: float) -> str:
    """A rough amount of memory as `8.0 GiB`, or as `25 MiB` where it is small."""
    return f"{value / GIB:.1f} GiB" if value >= GIB else f"{value / MIB:.0f} MiB"


def write_setting(value: JsonValue) -> str:
    """A setting's value the way YAML writes it."""
    if value is None:
        return "not set"
    return value if isinstance(value, str) else json.dumps(value)


def _plain(value: float) -> str:
    return f"{value:g}"


WRITERS: Mapping[str, Callable[[float], str]] = {
    "nats": lambda value: f"{value:.4f}",
    "bits": lambda value: f"{value:.4f}",
    "share": lambda value: f"{value * 100:.2f} %",
    "perplexity": lambda value: f"{value:.2f}",
    "bytes": lambda value: f"{value / GIB:.2f} GiB",
    "count": lambda value: f"{value:,.0f}",
    "seconds": write_duration,
    "dollars": write_dollars,
    "ratio": lambda value: f"{value:.2f} ×",
}
