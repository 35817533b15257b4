import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from server.syndication.badge import COLOURS, LABEL_COLOUR, NEUTRAL, draw_badge
from server.syndication.lettering import text_width

SVG = "{http://www.w3.org/2000/svg}"


def drawn(label: str = "debug", message: str = "queued", title: str = "x") -> Element:
    return ElementTree.fromstring(draw_badge(label, message, NEUTRAL, title))


def test_a_badge_is_as_wide_as_its_texts() -> None:
    badge = drawn("debug", "rank 1 · better")
    widths = [float(text.get("textLength") or 0) for text in badge.iter(f"{SVG}text")]
    assert widths == [
        pytest.approx(text_width(text, 11), abs=0.06) for text in ("debug", "rank 1 · better")
    ]
    assert float(badge.get("width") or 0) == pytest.approx(sum(widths) + 4 * 6, abs=0.1)
    rects = [rect for rect in badge.iter(f"{SVG}rect") if rect.get("fill")]
    assert sum(float(rect.get("width") or 0) for rect in rects) == pytest.approx(
        float(badge.get("width") or 0), abs=0.1
    )


def test_a_screen_reader_says_its_title() -> None:
    badge = drawn(title='A <b> & "c"')
    title = badge.find(f"{SVG}title")
    assert title is not None
    assert title.text == 'A <b> & "c"'
    assert badge.get("role") == "img"
    assert badge.get("aria-labelledby") == title.get("id")


def test_a_badge_needs_no_other_file_and_no_style() -> None:
    text = draw_badge("debug", "queued", NEUTRAL, "x").decode()
    assert not re.search(r"style|href|<script|@import|url\((?!#)", text)


@pytest.mark.parametrize("colour", [LABEL_COLOUR, NEUTRAL, *COLOURS.values()])
def test_white_letters_have_contrast_enough(colour: str) -> None:
    def linear(part: str) -> float:
        share = int(part, 16) / 255
        return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(colour[at : at + 2]) for at in (1, 3, 5))
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    assert 1.05 / (luminance + 0.05) >= 5.0
