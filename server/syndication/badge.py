"""Badges: a label and a few words beside it, as an SVG that needs no other file."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlmodel import Session

from core.schema.track import Track
from server.formatting import delta, loss
from server.syndication.board_rows import record_and_baseline
from server.syndication.lettering import text_width
from server.syndication.placing import Placing, placing_sentence
from server.templating import environment

LETTER_PIXELS = 11
PADDING = 6.0
LABEL_COLOUR = "#3d3d3a"
NEUTRAL = "#66665f"
COLOURS: Mapping[str, str] = {"better": "#0a58a6", "worse": "#8a4708", "failed": "#a8201a"}
"""White letters have a contrast of 5 to 1 or more on each of them, on light and dark pages."""


@dataclass(frozen=True, kw_only=True)
class BadgePart:
    """A text on a coloured ground, in pixels from the left."""

    text: str
    colour: str
    left: float
    width: float
    text_width: float


@dataclass(frozen=True, kw_only=True)
class Badge:
    """Context of `badge.svg`."""

    title: str
    """What a screen reader says."""
    parts: tuple[BadgePart, ...]
    width: float
    padding: float = PADDING


def submission_badge(placing: Placing) -> bytes:
    """Rank, verdict and difference of a submission."""
    said = [placing.standing]
    row = placing.row
    if row is not None and not placing.is_withdrawn:
        if row.rank is not None:
            said.insert(0, f"rank {row.rank}")
        if placing.verdict is not None:
            said.append(delta(placing.verdict.delta))
        elif row.is_baseline:
            said.append(loss(row.result.val_loss))
    colour = COLOURS.get(placing.standing, NEUTRAL)
    return draw_badge(placing.rules.name, " · ".join(said), colour, placing_sentence(placing))


def track_badge(session: Session, track: Track) -> bytes:
    """The loss to beat on a track, under its default key."""
    record, baseline = record_and_baseline(session, track)
    best = record or baseline
    colour = COLOURS["better"] if record is not None else NEUTRAL
    if best is None:
        message, title = "no results", f"{track.rules.title}: no results yet"
    else:
        what = "record" if record is not None else "baseline"
        message = f"{what} {loss(best.result.val_loss)}"
        title = f"{track.rules.title}: {what} validation loss {loss(best.result.val_loss)} nats"
        title += f", {best.name} by {best.author}" if record is not None else ""
    return draw_badge(track.rules.name, message, colour, title)


def draw_badge(label: str, message: str, colour: str, title: str) -> bytes:
    """An SVG that is as wide as its texts."""
    left, parts = 0.0, []
    for text, ground in ((label, LABEL_COLOUR), (message, colour)):
        letters = round(text_width(text, LETTER_PIXELS), 1)
        width = letters + 2 * PADDING
        parts.append(
            BadgePart(text=text, colour=ground, left=left, width=width, text_width=letters)
        )
        left += width
    badge = Badge(title=title, parts=tuple(parts), width=round(left, 1))
    return environment().get_template("badge.svg").render(badge=badge).encode()
