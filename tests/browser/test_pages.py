"""The pages in a real browser: curves, renewal, widths, and life without JavaScript."""

import itertools
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from core.schema.job import JobOffer, SubmissionReceipt
from tests.server import factories

pytestmark = pytest.mark.browser

Board = Any
"""An `httpx.Client`, which has all that the factories want of a `TestClient`."""

numbers = itertools.count(1)
EVIL = "<script>alert(1)</script>"


def setting() -> dict[str, Any]:
    """Overrides that no other test of this module has, so that each has rows of its own."""
    return {"optimizer.muon.learning_rate": round(0.01 + next(numbers) / 10_000, 4)}


def submit(board: Board, name: str) -> SubmissionReceipt:
    return factories.submit(board, name, setting())


def start(board: Board, name: str) -> tuple[SubmissionReceipt, JobOffer]:
    receipt = submit(board, name)
    offer = factories.claim_one(board)
    assert offer.run.run_id == receipt.run_id
    return receipt, offer


def finished(board: Board, name: str, val_loss: float = 2.0) -> str:
    receipt, offer = start(board, name)
    factories.finish(board, offer, val_loss)
    return receipt.submission_id


def test_curves_are_drawn_and_switch_their_axis(board: Board, page: Page) -> None:
    submission = finished(board, "Drawn")
    page.goto(f"/submissions/{submission}")
    expect(page.locator("figure.drawn canvas")).to_have_count(6)
    expect(page.locator("figure", has_text="Validation loss").locator(".plot")).to_have_attribute(
        "aria-label", "Validation loss nats per token: seed 1000 ends at 1.9000 after 100 steps"
    )
    expect(page.locator(".u-legend").first).to_contain_text("step")
    page.get_by_label("training time").check()
    expect(page.locator(".u-legend").first).to_contain_text("time")


def test_legend_reads_the_value_under_the_cursor(board: Board, page: Page) -> None:
    submission = finished(board, "Read off")
    page.goto(f"/submissions/{submission}")
    over = page.locator("figure", has_text="Validation loss").locator(".u-over")
    box = over.bounding_box()
    assert box is not None
    over.hover(position={"x": box["width"] - 2, "y": box["height"] / 2})
    legend = page.locator("figure", has_text="Validation loss").locator(".u-legend")
    expect(legend).to_contain_text("100")
    expect(legend).to_contain_text("1.9000")


def test_the_axis_is_part_of_the_address(board: Board, page: Page) -> None:
    submission = finished(board, "Linked")
    page.goto(f"/submissions/{submission}?axis=tokens")
    expect(page.locator(".u-legend").first).to_contain_text("tokens")
    expect(page.get_by_label("tokens", exact=True)).to_be_checked()
    page.get_by_label("training time").check()
    assert page.url.endswith(f"/submissions/{submission}?axis=seconds")
    # What no axis is called leaves the page as it is.
    page.goto(f"/submissions/{submission}?axis=nothing")
    expect(page.get_by_label("steps", exact=True)).to_be_checked()


def test_the_cursor_moves_in_all_charts_over_the_range_of_the_seeds(
    board: Board, page: Page
) -> None:
    overrides = setting()
    for val_loss in (1.0, 2.0):
        receipt = factories.submit(board, "Seeds", overrides)
        factories.finish(board, factories.claim_one(board), val_loss)
    page.goto(f"/submissions/{receipt.submission_id}")
    expect(page.locator("figure.drawn canvas")).to_have_count(6)
    over = page.locator("figure", has_text="Validation loss").locator(".u-over")
    box = over.bounding_box()
    assert box is not None
    over.hover(position={"x": box["width"] - 2, "y": box["height"] / 2})
    # At step 100: 9 / √100 and 18 / √100.
    legend = page.locator("figure", has_text="Training loss").locator(".u-legend")
    expect(legend).to_contain_text("0.9000 to 1.8000")
    rates = page.locator("figure", has_text="Learning rates").locator(".u-legend")
    expect(rates).to_contain_text("100")
    expect(rates).not_to_contain_text("range")


def test_comparison_draws_both_sides(board: Board, page: Page) -> None:
    a, b = finished(board, "Left"), finished(board, "Right", 1.9)
    page.goto(f"/compare?a={a}&b={b}")
    legend = page.locator("figure", has_text="Training loss").locator(".u-legend")
    expect(legend).to_contain_text("A, seed 1000")
    expect(legend).to_contain_text("B, seed 1000")


def test_hovering_over_one_figure_reads_all_of_them(board: Board, page: Page) -> None:
    ids = [finished(board, name, loss) for name, loss in (("P", 2.0), ("Q", 1.9), ("R", 1.8))]
    page.goto("/compare?" + "&".join(f"id={one}" for one in ids))
    over = page.locator("figure", has_text="Training loss").locator(".u-over")
    box = over.bounding_box()
    assert box is not None
    over.hover(position={"x": box["width"] - 2, "y": box["height"] / 2})
    legend = page.locator("figure", has_text="Validation loss").locator(".u-legend")
    # Last points: 9 × loss / 10 + 0.1.
    for letter, value in (("A", "1.9000"), ("B", "1.8100"), ("C", "1.7200")):
        entry = legend.locator(".u-series", has_text=f"{letter}, seed 1000")
        expect(entry).to_contain_text(value)
    over.hover(position={"x": 2, "y": box["height"] / 2})
    expect(legend.locator(".u-series").first).to_contain_text("25")


def test_two_rows_of_the_board_lead_to_their_comparison(board: Board, page: Page) -> None:
    finished(board, "Row one")
    finished(board, "Row two", 2.1)
    page.goto("/tracks/debug")
    page.get_by_label("Compare Row one", exact=True).check()
    page.get_by_label("Compare Row two", exact=True).check()
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Row one and Row two")


def test_running_page_renews_itself_and_keeps_what_the_reader_did(board: Board, page: Page) -> None:
    finished(board, "Chosen")
    finished(board, "Other choice")
    receipt, offer = start(board, "Under way")
    factories.heartbeat(board, offer, completed=10)
    page.goto("/tracks/debug")
    row = page.get_by_role("row", name="Under way")
    expect(row).to_contain_text("training, 10 of 250")
    page.get_by_text("Rules of this track").click()
    page.get_by_label("Compare Chosen", exact=True).check()
    page.get_by_label("Compare Other choice", exact=True).focus()
    factories.heartbeat(board, offer, completed=200)
    expect(row).to_contain_text("training, 200 of 250", timeout=8000)
    factories.finish(board, offer, 0.5)
    ranked = page.get_by_role("region", name="Ranking").get_by_role("row", name="Under way")
    expect(ranked).to_contain_text("0.5000", timeout=8000)
    expect(page.get_by_label("Compare Chosen", exact=True)).to_be_checked()
    expect(page.locator("details.rules")).to_have_attribute("open", "")
    focused = page.evaluate("document.activeElement.parentElement.textContent")
    assert focused == "Compare Other choice"
    # Nothing is under way any more, so the page has stopped asking.
    expect(page.locator("#live-sign")).to_be_hidden()
    assert receipt.submission_id in ranked.inner_html()


def test_curves_grow_while_the_run_goes_on(board: Board, page: Page) -> None:
    receipt, offer = start(board, "Growing")
    page.goto(f"/submissions/{receipt.submission_id}")
    expect(page.get_by_text("No points yet.")).to_be_visible()
    factories.send_points(board, offer, factories.points())
    expect(page.locator("figure.drawn canvas").first).to_be_visible(timeout=12_000)
    factories.finish(board, offer)


def test_lost_connection_is_said(board: Board, page: Page) -> None:
    receipt, offer = start(board, "Cut off")
    page.goto(f"/submissions/{receipt.submission_id}")
    page.evaluate("() => { window.fetch = () => Promise.reject(new TypeError('offline')); }")
    factories.heartbeat(board, offer, completed=10)
    expect(page.locator("#live-sign")).to_have_text("no connection, trying again", timeout=8000)
    factories.finish(board, offer)


@pytest.mark.parametrize("width", [360, 768, 2200])
def test_no_page_scrolls_sideways(board: Board, page: Page, width: int) -> None:
    long = finished(board, "N" * 80)
    other = finished(board, "Short")
    page.set_viewport_size({"width": width, "height": 800})
    for path in (
        "/",
        "/tracks/debug",
        "/tracks/gpu_24gb",
        f"/submissions/{long}",
        f"/compare?a={long}&b={other}",
        "/queue",
        "/tracks/debug/rules",
        "/tracks/debug/settings",
        "/tracks/debug/settings/optimizer.muon.learning_rate",
        "/authors",
        "/authors/ada",
        "/about",
    ):
        page.goto(path)
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_a_row_of_the_queue_keeps_its_name_on_a_phone(board: Board, page: Page) -> None:
    _, offer = start(board, "A name of" + " many words" * 6)
    submit(board, "Waits behind it")
    page.set_viewport_size({"width": 360, "height": 800})
    page.goto("/queue")
    for section in ("running", "queued", "workers"):
        region = page.locator(f'[data-live="{section}"] .scroll')
        region.evaluate("region => { region.scrollLeft = region.scrollWidth; }")
        name = region.locator("tbody th.name").first.bounding_box()
        assert name is not None
        assert 0 <= name["x"] < 30, section
        assert name["width"] < 180, section
    factories.finish(board, offer)
    factories.finish(board, factories.claim_one(board))


def test_markup_of_strangers_does_not_run(board: Board, page: Page) -> None:
    receipt, offer = start(board, EVIL)
    factories.send_log(board, offer, f"{EVIL}\n")
    factories.finish(board, offer)
    for path in ("/", "/tracks/debug", f"/submissions/{receipt.submission_id}"):
        page.goto(path)
        page.wait_for_load_state("networkidle")
    # A dialog or a breach of the policy would be an error of the page.
    expect(page.get_by_role("heading", level=1)).to_have_text(EVIL)


def test_first_tab_reaches_the_content(page: Page) -> None:
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_without_javascript_losses_are_a_table(
    board: Board, browser: Browser, server_url: str
) -> None:
    submission = finished(board, "Plain")
    finished(board, "Plain as well")
    context = browser.new_context(base_url=server_url, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"/submissions/{submission}")
    expect(page.get_by_role("group", name="Validation loss by step")).to_contain_text("1.9000")
    page.goto("/tracks/debug")
    page.get_by_label("Compare Plain", exact=True).check()
    page.get_by_label("Compare Plain as well", exact=True).check()
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.get_by_role("heading", name="Settings that differ")).to_be_visible()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(board: Board, page: Page, scheme: str) -> None:
    submission = finished(board, "Legible")
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    for path in ("/", "/tracks/debug", f"/submissions/{submission}", "/queue"):
        page.goto(path)
        page.wait_for_load_state("networkidle")
        faint = page.evaluate(FAINT_TEXT)
        assert faint == [], path


FAINT_TEXT = """() => {
  // Elements whose own text has less contrast with its ground than WCAG AA's 4.5.
  const parse = (color) => color.match(/[\\d.]+/g).map(Number);
  const channel = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const color = parse(getComputedStyle(e).backgroundColor);
      if (color.length === 3 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll('body *')].filter((element) => {
    const ownText = [...element.childNodes].some((n) => n.nodeType === 3 && n.nodeValue.trim());
    if (!ownText || element.closest('noscript, script') || !element.checkVisibility()) return false;
    const [a, b] = [parse(getComputedStyle(element).color), ground(element)].map(light);
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5;
  }).map((element) => element.outerHTML.slice(0, 80));
}"""
