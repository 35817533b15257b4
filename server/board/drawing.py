"""Where to draw a line of falling steps: a picture 100 wide and 40 high, low losses below."""

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 100.0, 40.0
MARGIN = 4.0
"""Free space around the outermost points."""


@dataclass(frozen=True, kw_only=True)
class Spot:
    """A step's place."""

    x: float
    y: float
    title: str
    url: str
    """Where it leads; empty if nowhere."""


@dataclass(frozen=True, kw_only=True)
class StepsDrawing:
    """A falling line of steps."""

    spots: tuple[Spot, ...]
    path: str
    """The line, as an SVG path."""
    low: float
    """Lowest loss in the picture."""
    high: float
    """Highest loss in the picture."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """What is drawn: from where on a loss holds."""

    at: float
    """Place on the axis from left to right, in its own unit."""
    loss: float
    title: str
    url: str


def draw_steps(steps: Sequence[Step], end: float | None = None) -> StepsDrawing | None:
    """Place steps that are in order; None without any.

    Args:
        end: up to where the last step holds, in the axis's unit; its own place by default.
    """
    if not steps:
        return None
    losses = [step.loss for step in steps]
    first, last = steps[0].at, max(steps[-1].at, end if end is not None else steps[-1].at)
    spots = tuple(
        Spot(
            x=_place(step.at, first, last, WIDTH),
            # A lower loss stands lower.
            y=HEIGHT - _place(step.loss, min(losses), max(losses), HEIGHT),
            title=step.title,
            url=step.url,
        )
        for step in steps
    )
    corners = [f"M{spots[0].x} {spots[0].y}"]
    corners += [f"H{spot.x}V{spot.y}" for spot in spots[1:]]
    if last > steps[-1].at:
        corners.append(f"H{WIDTH - MARGIN}")
    return StepsDrawing(spots=spots, path="".join(corners), low=min(losses), high=max(losses))


def _place(value: float, low: float, high: float, length: float) -> float:
    """A value's place between the margins; in the middle where all are equal."""
    share = (value - low) / (high - low) if high > low else 0.5
    return round(MARGIN + share * (length - 2 * MARGIN), 2)
