import re
from pathlib import Path

from benchmarks.gallery.catalogue import catalogue
from benchmarks.gallery.gallery_pages import empty_pages, huge_pages

DOCS = Path(__file__).resolve().parents[3] / "docs"
MAX_BYTES = 3_000_000


def test_each_page_has_a_line_with_its_looks_under_its_state() -> None:
    text = catalogue([*empty_pages(), *huge_pages(["s_1"])], "shots")
    empty, huge = text.index("## Empty"), text.index("## Huge")
    assert empty < text.index("![Home, empty, phone](shots/home_empty_phone.webp)") < huge
    assert text.index("![Home, huge, light](shots/home_huge_light.webp)") > huge


def test_the_document_shows_all_pictures_that_are_there_and_they_are_small() -> None:
    shown = re.findall(r"\]\(pictures/(.+?)\)", (DOCS / "pages.md").read_text())
    there = list((DOCS / "pictures").iterdir())
    assert sorted(shown) == sorted(path.name for path in there)
    assert sum(path.stat().st_size for path in there) <= MAX_BYTES
