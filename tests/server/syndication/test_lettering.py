import pytest

from server.syndication.lettering import ELLIPSIS, FONTS, fitted, font, text_width, wrapped


def test_letters_are_as_wide_as_the_font_says() -> None:
    # DejaVu Sans has 2048 units to the em; i is 569 wide and m 1995.
    assert text_width("i", 2048) == 569
    assert text_width("m", 2048) == 1995
    assert text_width("mi", 1024) == pytest.approx((569 + 1995) / 2, abs=1)


@pytest.mark.parametrize("text", ["−▼▲·…×–", "Größe", "βγΔ", "Жук"])
def test_signs_and_scripts_of_the_board_have_letters(text: str) -> None:
    missing = bytes(font(20).getmask("\U0010ffff"))
    assert all(bytes(font(20).getmask(letter)) != missing for letter in text)


def test_what_does_not_fit_ends_with_an_ellipsis() -> None:
    assert fitted("short", 500, 20) == "short"
    cut = fitted("a rather long text", 80, 20)
    assert cut.endswith(ELLIPSIS)
    assert text_width(cut, 20) <= 80 < text_width(cut[:-1] + "h" + ELLIPSIS, 20)


def test_lines_break_at_spaces_and_the_last_is_cut() -> None:
    text = "one two three four five six seven eight nine"
    lines = wrapped(text, 120, 20, max_lines=2)
    assert len(lines) == 2
    assert lines[0] == "one two three"[: len(lines[0])]
    assert lines[1].endswith(ELLIPSIS)
    assert all(text_width(line, 20) <= 120 for line in lines)
    assert wrapped("one two", 500, 20) == ("one two",)


def test_a_word_that_is_too_long_is_cut() -> None:
    lines = wrapped("W" * 80 + " end", 200, 20)
    assert len(lines) == 2
    assert all(text_width(line, 20) <= 200 for line in lines)


def test_fonts_come_with_their_licence_and_are_small() -> None:
    assert "Bitstream Vera" in (FONTS / "LICENSE").read_text()
    assert sum(file.stat().st_size for file in FONTS.glob("*.ttf")) < 150_000
