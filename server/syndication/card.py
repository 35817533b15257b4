"""Cards: the picture of a submission that other sites show beside a link to it."""

import io
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageDraw

from server.formatting import delta, interval, loss
from server.syndication.lettering import fitted, font, text_width, wrapped
from server.syndication.placing import Placing
from server.verdict.bar import IntervalBar, interval_bars

WIDTH, HEIGHT = 1200, 630
MARGIN = 72
INNER = WIDTH - 2 * MARGIN
GROUND, RAISED, LINE = "#121416", "#23282d", "#5d656d"
TEXT, MUTED = "#e6e4df", "#a2a29b"
COLOURS = {"better": "#86bdf7", "worse": "#eda766", "failed": "#ff938a"}
BAR_TOP, BAR_HEIGHT = 452, 36
MAX_KEPT = 256
"""Pictures in memory, of some 30 KB each."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """All that a card shows; equal ones are drawn once."""

    track: str
    name: str
    author: str
    standing: str
    rank: int | None
    val_loss: float | None
    delta: float | None
    interval: str
    """The interval of the difference; empty without a verdict."""
    bar: IntervalBar | None


def submission_card(placing: Placing) -> bytes:
    """The card of a submission as PNG, 1200 × 630."""
    verdict, row = placing.verdict, placing.row
    card = Card(
        track=placing.rules.title,
        name=placing.submission.name,
        author=placing.submission.author,
        standing=placing.standing,
        rank=row.rank if row is not None and not placing.is_withdrawn else None,
        val_loss=placing.val_loss,
        delta=verdict.delta if verdict is not None else None,
        interval=interval(verdict.low, verdict.high) if verdict is not None else "",
        bar=interval_bars([verdict])[0],
    )
    return draw_card(card)


@lru_cache(maxsize=MAX_KEPT)
def draw_card(card: Card) -> bytes:
    """Draw a card."""
    image = Image.new("RGB", (WIDTH, HEIGHT), GROUND)
    draw = ImageDraw.Draw(image)
    _draw_heading(draw, card)
    _draw_standing(draw, card)
    if card.bar is not None:
        _draw_bar(draw, card.bar, card)
    file = io.BytesIO()
    # 64 colours are more than letters on one ground have.
    image.quantize(64).save(file, "PNG", optimize=True)
    return file.getvalue()


def _draw_heading(draw: ImageDraw.ImageDraw, card: Card) -> None:
    """Project, track, name and author."""
    draw.rounded_rectangle((MARGIN, 56, MARGIN + 58, 98), 6, fill=TEXT)
    draw.text((MARGIN + 29, 77), "$5", GROUND, font(26, True), anchor="mm")
    draw.text((MARGIN + 74, 77), "Five-Dollar LLM", TEXT, font(28, True), anchor="lm")
    track = fitted(card.track, INNER - 400, 26)
    draw.text((WIDTH - MARGIN, 77), track, MUTED, font(26), anchor="rm")
    size = 60 if text_width(card.name, 60, True) <= INNER else 48
    lines = wrapped(card.name, INNER, size, is_bold=True)
    for number, line in enumerate(lines):
        draw.text((MARGIN, 190 + number * (size + 10)), line, TEXT, font(size, True), anchor="lm")
    bottom = 190 + (len(lines) - 1) * (size + 10) + 62
    draw.text((MARGIN, bottom), f"by {card.author}", MUTED, font(30), anchor="lm")


def _draw_standing(draw: ImageDraw.ImageDraw, card: Card) -> None:
    """Rank and verdict on the left; loss and difference on the right."""
    colour = COLOURS.get(card.standing, TEXT)
    said = card.standing if card.rank is None else f"rank {card.rank} · {card.standing}"
    draw.text((MARGIN, 395), said, colour, font(44, True), anchor="lm")
    if card.delta is not None:
        draw.text((WIDTH - MARGIN, 395), delta(card.delta), colour, font(44, True), anchor="rm")
    if card.val_loss is not None:
        text = f"validation loss {loss(card.val_loss)} nats"
        draw.text((MARGIN, HEIGHT - 64), text, TEXT, font(30), anchor="lm")


def _draw_bar(draw: ImageDraw.ImageDraw, bar: IntervalBar, card: Card) -> None:
    """The interval on a scale with zero, the baseline, in its middle."""
    colour = COLOURS.get(card.standing, TEXT)
    unit, bottom = INNER / 100, BAR_TOP + BAR_HEIGHT
    middle, point = MARGIN + 50 * unit, MARGIN + bar.point * unit
    draw.rounded_rectangle((MARGIN, BAR_TOP, WIDTH - MARGIN, bottom), 6, fill=RAISED)
    left = MARGIN + bar.left * unit
    right = max(left + bar.width * unit, left + 2)
    draw.rectangle((left, BAR_TOP + 8, right, bottom - 8), fill=LINE)
    draw.rectangle((middle - 1, BAR_TOP - 8, middle + 1, bottom + 8), fill=MUTED)
    draw.rectangle((point - 4, BAR_TOP, point + 4, bottom), fill=colour)
    draw.text((middle, bottom + 24), "baseline", MUTED, font(22), anchor="mm")
    text = f"99 % interval {card.interval}"
    draw.text((WIDTH - MARGIN, HEIGHT - 64), text, MUTED, font(26), anchor="rm")
