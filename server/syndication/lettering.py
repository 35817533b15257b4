"""The letters of badges and cards: their fonts, and how wide a text is."""

from functools import cache
from pathlib import Path

from PIL import ImageFont
from PIL.ImageFont import FreeTypeFont

FONTS = Path(__file__).resolve().parent / "fonts"
ELLIPSIS = "…"


@cache
def font(size: int, is_bold: bool = False) -> FreeTypeFont:
    """DejaVu Sans.

    Args:
        size: in pixels.
    """
    name = "DejaVuSans-Bold.ttf" if is_bold else "DejaVuSans.ttf"
    return ImageFont.truetype(FONTS / name, size, layout_engine=ImageFont.Layout.BASIC)


def text_width(text: str, size: int, is_bold: bool = False) -> float:
    """Width of a line, in pixels."""
    return font(size, is_bold).getlength(text)


def fitted(text: str, width: float, size: int, is_bold: bool = False) -> str:
    """The text, or as much of its beginning as fits with an ellipsis behind it."""
    if text_width(text, size, is_bold) <= width:
        return text
    kept = text
    while kept and text_width(kept + ELLIPSIS, size, is_bold) > width:
        kept = kept[:-1].rstrip()
    return kept + ELLIPSIS


def wrapped(
    text: str, width: float, size: int, is_bold: bool = False, max_lines: int = 2
) -> tuple[str, ...]:
    """The text in lines that break at spaces; what does not fit into them is left out."""
    lines: list[str] = []
    words = text.split()
    while words and len(lines) < max_lines - 1:
        count = 1
        while count < len(words):
            if text_width(" ".join(words[: count + 1]), size, is_bold) > width:
                break
            count += 1
        lines.append(fitted(" ".join(words[:count]), width, size, is_bold))
        words = words[count:]
    if words:
        lines.append(fitted(" ".join(words), width, size, is_bold))
    return tuple(lines)
