"""Where to draw a control chart: a picture 100 wide and 40 high, with the low losses below."""

from dataclasses import dataclass

from server.canary.view import ControlChart

WIDTH, HEIGHT = 100.0, 40.0
MARGIN = 4.0
"""Free space around the outermost points and limits."""


@dataclass(frozen=True, kw_only=True)
class Dot:
    """A canary's place."""

    x: float
    y: float
    is_out: bool


@dataclass(frozen=True, kw_only=True)
class ChartDrawing:
    """A control chart and the places of its parts."""

    chart: ControlChart
    dots: tuple[Dot, ...]
    path: str
    """The dots in order, as a line's `points`."""
    centre_y: float | None
    """Height of the centre line; None without limits."""
    low_y: float | None
    """Height of the lower limit."""
    high_y: float | None
    """Height of the upper limit."""


def drawing(chart: ControlChart) -> ChartDrawing:
    """Place a chart's points and lines; the whole range of both is in the picture."""
    losses = [point.val_loss for point in chart.points]
    limits = [value for value in (chart.low, chart.high) if value is not None]
    low, high = min(losses + limits), max(losses + limits)

    def height(value: float | None) -> float | None:
        if value is None:
            return None
        share = (value - low) / (high - low) if high > low else 0.5
        return round(HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN), 2)

    step = (WIDTH - 2 * MARGIN) / max(1, len(losses) - 1)
    dots = tuple(
        Dot(x=round(MARGIN + index * step, 2), y=height(point.val_loss) or 0.0, is_out=point.is_out)
        for index, point in enumerate(chart.points)
    )
    return ChartDrawing(
        chart=chart,
        dots=dots,
        path=" ".join(f"{dot.x},{dot.y}" for dot in dots),
        centre_y=height(chart.centre),
        low_y=height(chart.low),
        high_y=height(chart.high),
    )
