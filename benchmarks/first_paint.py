"""When a phone on a slow network first shows a page: `python -m benchmarks.first_paint`.

Prints a table in Markdown: the first contentful paint of a browser that has nothing yet, and of one
that has seen another page; and what the first one fetched, compressed as it came. Server and
browser share the machine. docs/board.md says what was measured.
"""

import logging
import os
import statistics
import tempfile
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from playwright.sync_api import Browser, CDPSession, sync_playwright

from benchmarks.gallery.browser import FLAGS, find_browser
from benchmarks.gallery.busy_board import TRACK, fill_busy_board
from benchmarks.gallery.gallery_pages import comparison
from benchmarks.gallery.gallery_server import GalleryServer, serving_gallery
from benchmarks.pages_board import fill
from benchmarks.store_board import Board

LATENCY_MS = 150.0
BYTES_PER_SECOND = 1.6e6 / 8
UPLOAD_BYTES_PER_SECOND = 750e3 / 8
"""Slow 4G as Lighthouse has it: of each request and answer, without connecting."""
CPU_SLOWDOWN = 4.0
WIDTH, HEIGHT = 360, 640
BEFORE = "/about"
CHARTS = ("/static/vendor/uplot/", "/static/charts.")
FIRST_PAINT = """() => new Promise((resolve) => {
  new PerformanceObserver((list) => {
    for (const entry of list.getEntriesByName("first-contentful-paint")) resolve(entry.startTime);
  }).observe({ type: "paint", buffered: true });
})"""


class Paint(NamedTuple):
    """How a page came."""

    name: str
    first_ms: float
    """Until something of it was seen by who comes for the first time, in the median."""
    next_ms: float
    """The same for who comes from another page."""
    page_bytes: int
    charts_bytes: int
    """Of what draws charts."""


class _Fetched:
    """Bytes of what a page fetches, as they came over the network."""

    def __init__(self, session: CDPSession) -> None:
        self.urls: dict[str, str] = {}
        self.sizes: dict[str, int] = {}
        session.on("Network.requestWillBeSent", self._note_request)
        session.on("Network.loadingFinished", self._note_end)

    def _note_request(self, event: dict[str, object]) -> None:
        request = event["request"]
        assert isinstance(request, dict)
        self.urls[str(event["requestId"])] = request["url"]

    def _note_end(self, event: dict[str, object]) -> None:
        self.sizes[str(event["requestId"])] = int(str(event["encodedDataLength"]).partition(".")[0])

    def charts(self) -> int:
        """Of what draws charts."""
        return sum(
            size
            for request, size in self.sizes.items()
            if any(part in self.urls.get(request, "") for part in CHARTS)
        )

    def page(self) -> int:
        """Of everything else."""
        return sum(self.sizes.values()) - self.charts()


def main(
    times: Annotated[int, typer.Option(min=1, max=1000, help="Visits of each page.")] = 9,
    rows: Annotated[int, typer.Option(min=2, max=100_000, help="Of the large board.")] = 5_000,
) -> None:
    """Measure, and print what came out."""
    logging.disable(logging.INFO)
    typer.echo(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    typer.echo("| page | first visit, ms | next page, ms | page, KB | charts, KB |")
    typer.echo("|---|---|---|---|---|")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=FLAGS)
        for paint in measure(browser, times, rows):
            kilobytes = f"{paint.page_bytes / 1000:.0f} | {paint.charts_bytes / 1000:.0f}"
            times_ms = f"{paint.first_ms:.0f} | {paint.next_ms:.0f}"
            typer.echo(f"| {paint.name} | {times_ms} | {kilobytes} |")
        browser.close()


def measure(browser: Browser, times: int, rows: int) -> list[Paint]:
    """Visit each page as often as asked for, each time as a browser that has nothing yet."""
    with tempfile.TemporaryDirectory() as folder:
        board = Board(f"sqlite:///{folder}/board.sqlite")
        fill(board, rows, 1000)
        board.close()
        with serving_gallery(Path(folder)) as server:
            pages = {f"leaderboard of {rows:,}": f"/tracks/{TRACK}"}
            paints = _visit_all(browser, server, pages, times)
    settings = {"queues_runs": "true", "canary_hours": "24"}
    with (
        tempfile.TemporaryDirectory() as folder,
        serving_gallery(Path(folder), **settings) as server,
    ):
        busy = fill_busy_board(server.hands)
        pages = {
            "leaderboard of 10": f"/tracks/{TRACK}",
            "submission": f"/submissions/{busy.measured[-1]}",
            "comparison of six": comparison(busy.measured[:6]),
        }
        return paints + _visit_all(browser, server, pages, times)


def _visit_all(
    browser: Browser, server: GalleryServer, pages: dict[str, str], times: int
) -> list[Paint]:
    paints = []
    for name, path in pages.items():
        url = f"{server.url}{path}"
        first = [_visit(browser, url) for _ in range(times)]
        others = [_visit(browser, url, f"{server.url}{BEFORE}") for _ in range(times)]
        first_ms, next_ms = (
            statistics.median(visit.milliseconds for visit in visits) for visits in (first, others)
        )
        paints.append(Paint(name, first_ms, next_ms, first[-1].page_bytes, first[-1].charts_bytes))
    return paints


class _Visit(NamedTuple):
    """One look at a page."""

    milliseconds: float
    page_bytes: int
    charts_bytes: int


def _visit(browser: Browser, url: str, before: str = "") -> _Visit:
    """Look at a page, after another one if there is one before it."""
    context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT})
    page = context.new_page()
    if before:
        page.goto(before)
    session = context.new_cdp_session(page)
    fetched = _Fetched(session)
    session.send("Network.enable")
    session.send(
        "Network.emulateNetworkConditions",
        {
            "offline": False,
            "latency": LATENCY_MS,
            "downloadThroughput": BYTES_PER_SECOND,
            "uploadThroughput": UPLOAD_BYTES_PER_SECOND,
        },
    )
    session.send("Emulation.setCPUThrottlingRate", {"rate": CPU_SLOWDOWN})
    page.goto(url)
    milliseconds = float(page.evaluate(FIRST_PAINT))
    if page.locator("[data-curves]").count():
        page.locator("figure.drawn").first.wait_for(timeout=60_000)
    visit = _Visit(milliseconds, fetched.page(), fetched.charts())
    context.close()
    return visit


if __name__ == "__main__":
    typer.run(main)
