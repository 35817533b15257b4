"""An exported site in a real browser, without a server."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, Request, expect

from runner.api.client import SiteClient
from runner.api.transport import Transport
from runner.export.folder import ExportFolder
from runner.export.site import SiteExport
from tests.browser.conftest import serving
from tests.server import factories

pytestmark = pytest.mark.browser

NAME = "</script><script>alert(1)</script>"


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test's output clean."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export of a board of two experiments, whose server has gone."""
    folder = tmp_path_factory.mktemp("export")
    with serving(tmp_path_factory.mktemp("exported")) as url:
        with httpx.Client(base_url=url, timeout=20.0) as board:
            client: Any = board
            factories.submit_and_finish(client, "Baseline", val_loss=2.0)
            overrides = {"model.dropout": 0.2}
            factories.submit_and_finish(client, NAME, overrides, val_loss=1.9)
        with SiteClient(Transport(url, 10.0)) as reader:
            summary = SiteExport(reader, ExportFolder(folder / "below", False), 1000).run()
    assert summary.num_left_out == 0
    return folder


@pytest.fixture
def offline(browser: Browser) -> Iterator[Page]:
    """A page that must log no error."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    faults: list[str] = []

    def note_failure(request: Request) -> None:
        # A page that is left while its icon is still on the way gives that up.
        if request.failure != "net::ERR_ABORTED":
            faults.append(request.url)

    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text))
    page.on("requestfailed", note_failure)
    page.on("dialog", lambda dialog: dialog.dismiss() or faults.append("a dialog opened"))
    yield page
    context.close()
    assert faults == []


def walk(page: Page, home: str) -> None:
    """From the ranking to a submission and its curves, and back."""
    page.goto(home)
    page.locator('a[href="tracks/debug/index.html"]').first.click()
    ranking = page.get_by_role("region", name="Ranking")
    expect(ranking.locator("tr.baseline")).to_contain_text("2.0000")
    expect(page.get_by_text("Exported 20")).to_be_visible()
    expect(page.locator("form, .pick")).to_have_count(0)
    ranking.get_by_role("link", name=NAME).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(NAME)
    expect(page.locator("figure.drawn canvas")).to_have_count(6)
    expect(page.locator("figure", has_text="Validation loss").locator(".plot")).to_have_attribute(
        "aria-label", "Validation loss nats per token: seed 1000 ends at 1.8100 after 100 steps"
    )
    page.get_by_label("training time").check()
    expect(page.locator(".u-legend").first).to_contain_text("time")
    # The style sheet was found: it alone makes the header a row.
    assert page.locator("header").evaluate("one => getComputedStyle(one).display") == "flex"
    page.get_by_role("link", name="Queue").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()


def test_an_export_is_read_from_the_disk(site: Path, offline: Page) -> None:
    walk(offline, (site / "below" / "index.html").as_uri())


def test_an_export_is_read_below_any_path_of_a_web_server(site: Path, offline: Page) -> None:
    handler = partial(QuietHandler, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            walk(offline, f"http://127.0.0.1:{server.server_address[1]}/below/")
        finally:
            server.shutdown()
            thread.join()
