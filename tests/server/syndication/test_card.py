import io
from dataclasses import replace

from PIL import Image

from server.syndication.card import COLOURS, GROUND, INNER, MARGIN, Card, draw_card
from server.verdict.bar import IntervalBar

CARD = Card(
    track="Debug",
    name="QK-norm",
    author="ada",
    standing="better",
    rank=1,
    val_loss=1.5,
    delta=-0.5,
    interval="−0.6000 to −0.4000",
    bar=IntervalBar(left=10.0, width=20.0, point=20.0),
)
EMPTY = replace(
    CARD, standing="queued", rank=None, val_loss=None, delta=None, interval="", bar=None
)


def pixels(card: Card) -> Image.Image:
    return Image.open(io.BytesIO(draw_card(card))).convert("RGB")


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))


def near(found: object, colour: str) -> bool:
    """Whether a pixel has a colour, but for what the palette rounds."""
    assert isinstance(found, tuple)
    return all(abs(a - b) < 8 for a, b in zip(found, rgb(colour), strict=True))


def test_the_difference_stands_on_the_bar_where_it_lies() -> None:
    image = pixels(CARD)
    at = round(MARGIN + 0.2 * INNER)
    assert near(image.getpixel((at, 470)), COLOURS["better"])
    assert not near(image.getpixel((at + 40, 470)), COLOURS["better"])
    worse = pixels(replace(CARD, standing="worse"))
    assert near(worse.getpixel((at, 470)), COLOURS["worse"])


def test_without_a_verdict_there_is_no_bar() -> None:
    image = pixels(EMPTY)
    assert all(near(image.getpixel((x, 470)), GROUND) for x in range(0, 1200, 25))


def test_nothing_is_drawn_over_the_edge() -> None:
    long = replace(CARD, name="W" * 80, author="w" * 40, track="W" * 80, rank=10**6)
    image = pixels(long)
    for x in (*range(0, MARGIN - 4, 8), *range(1200 - MARGIN + 4, 1200, 8)):
        assert all(near(image.getpixel((x, y)), GROUND) for y in range(0, 630, 5))


def test_equal_cards_are_drawn_once() -> None:
    assert draw_card(CARD) is draw_card(replace(CARD))
    assert draw_card(CARD) != draw_card(EMPTY)
