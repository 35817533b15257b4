"""Pictures of pages, as small and as much the same from one day to the next as can be."""

import io
import re
from pathlib import Path
from typing import Literal, NamedTuple

from PIL import Image
from playwright.sync_api import Browser, Page

from benchmarks.gallery.gallery_pages import GalleryPage
from benchmarks.gallery.visitors import READER, new_page

QUALITY = 40
"""Of WebP, from 0 to 100: text stays sharp, flat grounds cost nothing."""
RENEWAL_MILLISECONDS = 700
STEADY = """() => {
  // What differs with every filling: moments, random ids, and hashes of what names them.
  const MOMENT = /\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d UTC/g;
  const HASH = /\\b(?=[0-9]*[a-f])[0-9a-f]{12,}\\b/g;
  const ID = /\\b([srjwt])_[a-z2-7]{10}\\b/g;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode;
    const steady = text.nodeValue
      .replace(MOMENT, "2026-11-25 12:00 UTC")
      .replace(ID, "$1_4k7m2q5xwp")
      .replace(HASH, (found) => "4f1c0d9a".repeat(8).slice(0, found.length));
    if (steady !== text.nodeValue) text.nodeValue = steady;
  }
}"""


class Look(NamedTuple):
    """How a page is looked at."""

    name: str
    scheme: Literal["light", "dark"]
    width: int
    height: int


LOOKS = (
    Look("light", "light", 1280, 720),
    Look("dark", "dark", 1280, 720),
    Look("phone", "light", 360, 720),
)


def take_pictures(browser: Browser, url: str, pages: list[GalleryPage], folder: Path) -> None:
    """Take each page of a server in each look, as `NAME_LOOK.webp`.

    Raises:
        RuntimeError: a page is not the one that it should be, or scrolls sideways.
    """
    for look in LOOKS:
        for author in ("", READER):
            page = new_page(browser, url, author, look.width, look.height, look.scheme)
            for kind in pages:
                if kind.is_signed_in == bool(author):
                    _take(page, kind, look, folder / f"{kind.name}_{look.name}.webp")
            page.context.close()


def _take(page: Page, kind: GalleryPage, look: Look, path: Path) -> None:
    # Or another place on the same page would be no visit.
    page.goto("about:blank")
    answer = page.goto(kind.path)
    if answer is None or answer.status != kind.status:
        raise RuntimeError(f"{kind.path} did not answer {kind.status}")
    if page.locator("[data-curves]").count():
        page.locator("figure.drawn, .chart-message:not(:empty)").first.wait_for()
    width = page.evaluate("document.documentElement.scrollWidth")
    if width > look.width:
        raise RuntimeError(f"{kind.path} is {width} pixels wide where {look.width} are shown")
    if page.locator("body[data-topics]").count():
        # It has heard from the server, and brought itself up to date once.
        page.locator("#live-sign", has_text=re.compile("^live$")).wait_for()
        page.wait_for_timeout(RENEWAL_MILLISECONDS)
    page.evaluate(STEADY)
    picture = Image.open(io.BytesIO(page.screenshot(animations="disabled")))
    picture.convert("RGB").save(path, "WEBP", quality=QUALITY, method=6)
