"""What axe finds on every kind of page, and what a keyboard alone reaches."""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from benchmarks.gallery.busy_board import BusyBoard
from benchmarks.gallery.gallery_pages import GalleryPage, busy_pages, empty_pages
from benchmarks.gallery.gallery_server import GalleryServer
from benchmarks.gallery.visitors import READER, new_page

pytestmark = pytest.mark.browser

LEVEL_AA = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")
EVERY_RULE = {"type": "tag", "values": [*LEVEL_AA, "best-practice"]}
RULES_OF_LOOKS = {
    "type": "rule",
    "values": [
        "color-contrast",
        "link-in-text-block",
        "scrollable-region-focusable",
        "target-size",
    ],
}
"""What may differ between themes and widths, which change nothing else of a page."""
AXE = Axe()

MAX_STOPS = 400
FOCUSED = """() => {
  // What has the focus, and whether one sees that it has.
  const element = document.activeElement;
  if (!element || element === document.body) return null;
  const { outlineStyle, outlineWidth, outlineColor } = getComputedStyle(element);
  const isSeen = outlineStyle !== "none" && parseFloat(outlineWidth) >= 2 && outlineColor !== "rgba(0, 0, 0, 0)";
  (window.reached ??= new Set()).add(element);
  return [element.outerHTML.slice(0, 120), isSeen && element.checkVisibility()];
}"""
UNREACHED = """() => {
  const interactive = "a[href], button, input, select, textarea, summary, [tabindex='0']";
  return [...document.querySelectorAll(interactive)].filter((element) => {
    if (!element.checkVisibility() || element.disabled || element.type === "hidden") return false;
    // Arrow keys move within a group of radio buttons.
    const one = element.type === "radio" ? document.querySelector(`[name=${element.name}]:checked`) : element;
    return !window.reached.has(one);
  }).map((element) => element.outerHTML.slice(0, 120));
}"""


@pytest.fixture
def readers(browser: Browser, gallery: GalleryServer) -> Iterator[dict[bool, Page]]:
    """A page of a reader's, and of one who is signed in."""
    pages = {bool(author): new_page(browser, gallery.url, author) for author in ("", READER)}
    yield pages
    for page in pages.values():
        page.context.close()


def kinds(board: BusyBoard) -> list[GalleryPage]:
    """Every kind once, wherever on it one looks."""
    return [kind for kind in (*empty_pages(), *busy_pages(board)) if "#" not in kind.path]


def findings(page: Page, rules: dict[str, object]) -> list[str]:
    options = {"resultTypes": ["violations"], "runOnly": rules}
    violations = AXE.run(page, options=options).response["violations"]
    return [
        f"{one['impact']} {one['id']}: {node['html']} {node['failureSummary']}"
        for one in violations
        for node in one["nodes"]
    ]


def test_axe_finds_nothing_on_any_page(readers: dict[bool, Page], busy: BusyBoard) -> None:
    found = {}
    for kind in kinds(busy):
        page = readers[kind.is_signed_in]
        page.set_viewport_size({"width": 1280, "height": 800})
        page.emulate_media(color_scheme="light")
        answer = page.goto(kind.path)
        assert answer is not None
        assert answer.status == kind.status, kind
        found[kind.name, "wide and light"] = findings(page, EVERY_RULE)
        page.set_viewport_size({"width": 360, "height": 740})
        page.emulate_media(color_scheme="dark")
        found[kind.name, "narrow and dark"] = findings(page, RULES_OF_LOOKS)
        assert page.evaluate("document.documentElement.scrollWidth") == 360, kind
    assert {where: what for where, what in found.items() if what} == {}


def test_a_keyboard_reaches_everything_and_shows_where_it_is(
    readers: dict[bool, Page], busy: BusyBoard
) -> None:
    titles = {"Board", "Compare two", "Submission", "Submit"}
    for kind in busy_pages(busy):
        if kind.title not in titles:
            continue
        page = readers[True]
        page.goto(kind.path)
        unseen = []
        for _ in range(MAX_STOPS):
            # Out of an editor in which Tab indents.
            page.keyboard.press("Escape")
            page.keyboard.press("Tab")
            focused = page.evaluate(FOCUSED)
            if focused is None:
                break
            if not focused[1]:
                unseen.append(focused[0])
        assert (unseen, page.evaluate(UNREACHED)) == ([], []), kind


def test_a_comparison_is_made_with_the_keyboard_alone(
    readers: dict[bool, Page], busy: BusyBoard
) -> None:
    page = readers[False]
    page.goto("/tracks/debug")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    tab_to(page, "Search")
    page.keyboard.type("qk_norm")
    page.keyboard.press("Enter")
    expect(page.locator(".board tbody tr")).to_have_count(4)
    for name in ("QK-norm and zero init", "QK-norm"):
        tab_to(page, f"Compare {name}")
        page.keyboard.press("Space")
    for _ in range(MAX_STOPS):
        page.keyboard.press("Shift+Tab")
        if page.evaluate("document.activeElement.textContent") == "Compare":
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("QK-norm and zero init and QK-norm")


def tab_to(page: Page, label: str) -> None:
    """Press Tab until something labelled so has the focus."""
    for _ in range(MAX_STOPS):
        page.keyboard.press("Tab")
        texts = page.evaluate(
            "[...document.activeElement.labels ?? []].map(one => one.textContent.trim())"
        )
        if label in texts:
            return
    pytest.fail(f"nothing labelled {label!r} was reached")
