"""When a job should start and end, as a person reads it."""

from collections.abc import Iterable
from datetime import UTC, datetime

from core.schema.forecast import Forecast
from runner.terminal.figures import write_duration


def forecast_rows(forecast: Forecast | None) -> Iterable[tuple[str, str]]:
    """Place, start and end, and what they rest on; nothing for a job that is over."""
    if forecast is None:
        return
    if forecast.position is not None:
        yield "place in the queue", str(forecast.position)
        if forecast.starts_at is not None:
            yield "should start", write_soon(forecast.starts_at, forecast.as_of)
    if forecast.ends_at is not None:
        basis = "how long runs took" if forecast.basis == "measured" else "an estimate"
        yield "should end", f"{write_soon(forecast.ends_at, forecast.as_of)}, by {basis}"
    if forecast.is_alarm:
        yield "alarm", "no worker that may take it has been seen for a long time"
    if forecast.note:
        yield "why no time", forecast.note


def write_soon(moment: datetime, now: datetime) -> str:
    """A moment to come, in UTC, and how far off it is."""
    left = (moment - now).total_seconds()
    if left < 1:
        return "now"
    return f"in about {write_duration(left)}, {moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
