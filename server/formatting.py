"""Numbers and moments as the pages write them. A missing value is a dash."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from pydantic import JsonValue

DASH = "–"
MINUS = "−"
TASK_TITLES: Mapping[str, str] = {
    "arc_challenge": "ARC-Challenge",
    "arc_easy": "ARC-Easy",
    "hellaswag": "HellaSwag",
    "synthetic_world": "Synthetic world",
}


class Quantity(StrEnum):
    """What kind of number a figure is, which decides how it is written."""

    NATS = "nats"
    SHARE = "share"
    PERPLEXITY = "perplexity"
    BITS = "bits"
    BYTES = "bytes"
    COUNT = "count"
    SECONDS = "seconds"
    DOLLARS = "dollars"
    RATIO = "ratio"


def figure(value: float | None, quantity: Quantity) -> str:
    """A number with the precision and unit of its kind."""
    match quantity:
        case Quantity.NATS | Quantity.BITS:
            return loss(value)
        case Quantity.SHARE:
            return percent(value)
        case Quantity.PERPLEXITY:
            return perplexity(value)
        case Quantity.BYTES:
            return gib(value)
        case Quantity.COUNT:
            return count(value)
        case Quantity.SECONDS:
            return seconds(value)
        case Quantity.DOLLARS:
            return usd(value)
        case Quantity.RATIO:
            return ratio(value)


def figure_delta(value: float | None, quantity: Quantity) -> str:
    """A signed difference of two such numbers; shares differ by percentage points (pp)."""
    match quantity:
        case Quantity.SHARE:
            return DASH if value is None else f"{delta(value * 100, 2)} pp"
        case Quantity.BYTES:
            return DASH if value is None else f"{delta(value / 1024**3, 2)} GiB"
        case Quantity.COUNT:
            return delta(value, 0)
        case Quantity.PERPLEXITY | Quantity.DOLLARS | Quantity.RATIO:
            return delta(value, 2)
        case _:
            return delta(value)


def loss(value: float | None) -> str:
    """A loss in nats, with four decimals."""
    return _decimals(value, 4)


def perplexity(value: float | None) -> str:
    """A perplexity, with two decimals."""
    return _decimals(value, 2)


def percent(value: float | None) -> str:
    """A share between 0 and 1 as a percentage, with two decimals."""
    return DASH if value is None else f"{_decimals(value * 100, 2)} %"


def percent_points(value: float | None) -> str:
    """A standard error of a share, as a bare number of percentage points."""
    return DASH if value is None else _decimals(value * 100, 2)


def count(value: float | None) -> str:
    """A whole number with thousands separators."""
    return DASH if value is None else f"{value:,.0f}".replace("-", MINUS)


def gib(num_bytes: float | None) -> str:
    """Bytes as GiB, with two decimals."""
    return DASH if num_bytes is None else f"{_decimals(num_bytes / 1024**3, 2)} GiB"


def celsius(value: float | None) -> str:
    """A temperature in whole degrees."""
    return DASH if value is None else f"{_decimals(value, 0)} °C"


def usd(value: float | None) -> str:
    """Dollars with cents; less than ten cents with four decimals, so that it is not just $0.00."""
    if value is None:
        return "unpriced"
    return f"${value:,.4f}" if 0 < value < 0.1 else f"${value:,.2f}"


def ratio(value: float | None) -> str:
    """A multiple, with two decimals."""
    return DASH if value is None else f"{_decimals(value, 2)} ×"


def seconds(value: float | None) -> str:
    """A duration: seconds, or hours and minutes where it is long."""
    if value is None:
        return DASH
    if value < 120:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def moment(value: datetime | None) -> str:
    """A moment in UTC, to the minute."""
    return DASH if value is None else f"{value:%Y-%m-%d %H:%M} UTC"


def from_now(value: datetime, now: datetime) -> str:
    """How far off a moment is, in round numbers; `now` if it is there or past."""
    left = (value - now).total_seconds()
    if left < 1:
        return "now"
    if left < 90:
        return f"in {max(10, round(left, -1)):.0f} s"
    if left < 90 * 60:
        return f"in {left / 60:.0f} min"
    return f"in {left / 3600:.1f} h" if left < 48 * 3600 else f"in {left / 86_400:.1f} days"


def delta(value: float | None, decimals: int = 4) -> str:
    """A signed difference with an arrow; neither where it rounds to nothing."""
    if value is None:
        return DASH
    size = f"{abs(value):,.{decimals}f}"
    if direction(value, decimals) == "equal":
        return size
    return f"▼ {MINUS}{size}" if value < 0 else f"▲ +{size}"


def interval(low: float, high: float) -> str:
    """An interval of a difference, with signs."""
    return f"{_signed(low)} to {_signed(high)}"


def _signed(value: float, decimals: int = 4) -> str:
    size = f"{abs(value):,.{decimals}f}"
    if float(size.replace(",", "")) == 0:
        return size
    return f"{MINUS}{size}" if value < 0 else f"+{size}"


def direction(value: float | None, decimals: int = 4) -> str:
    """`lower`, `higher` or `equal` for a difference as `delta` rounds it; `` if missing."""
    if value is None:
        return ""
    if float(f"{value:.{decimals}f}") == 0:
        return "equal"
    return "lower" if value < 0 else "higher"


def setting(value: JsonValue) -> str:
    """A setting's value the way YAML writes it."""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value:_}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, list):
        return ", ".join(setting(item) for item in value) or "none"
    return str(value)


def short_path(path: str) -> str:
    """The last two parts of a dotted path."""
    return ".".join(path.split(".")[-2:])


def words(identifier: str) -> str:
    """`out_of_memory` as `out of memory`."""
    return identifier.replace("_", " ")


def task_title(name: str) -> str:
    """A multiple-choice task the way its authors write it; words where that is not known."""
    return TASK_TITLES.get(name, words(name))


def p_value(value: float) -> str:
    """A probability, with four decimals; one that rounds to nothing as a bound."""
    return "< 0.0001" if value < 0.00005 else _decimals(value, 4)


def _decimals(value: float | None, decimals: int) -> str:
    return DASH if value is None else f"{value:,.{decimals}f}".replace("-", MINUS)
