"""Pages that hear from the server what has changed, and pages that have to ask."""

import itertools
import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from core.schema.job import JobOffer, SubmissionReceipt
from server.live import event_stream
from tests.server import factories

pytestmark = pytest.mark.browser

Board = Any
"""An `httpx.Client`, which has all that the factories want of a `TestClient`."""

WITHIN = 2_000
"""Milliseconds from a worker's report until readers see it."""
WITHOUT_EVENTS = "() => { delete window.EventSource; }"
numbers = itertools.count(1)


def start(board: Board, name: str) -> tuple[SubmissionReceipt, JobOffer]:
    rate = {"optimizer.muon.learning_rate": round(0.02 + next(numbers) / 10_000, 4)}
    receipt = factories.submit(board, name, rate)
    offer = factories.claim_one(board)
    assert offer.run.run_id == receipt.run_id
    return receipt, offer


def open_live(page: Page, path: str) -> None:
    """Open a page, and wait until it is connected and its first renewals are over."""
    page.goto(path)
    expect(page.locator("#live-sign")).to_have_text("live")
    page.wait_for_timeout(1_000 * event_stream.EVERY_SECONDS)


def test_progress_is_seen_within_two_seconds(board: Board, page: Page) -> None:
    receipt, offer = start(board, "Told of")
    for path in ("/tracks/debug", "/queue", f"/submissions/{receipt.submission_id}"):
        completed = 10 + next(numbers)
        open_live(page, path)
        factories.heartbeat(board, offer, completed=completed)
        seen = page.get_by_text(f"training, {completed} of 250").first
        expect(seen).to_be_visible(timeout=WITHIN)
    factories.finish(board, offer)


def test_a_curve_grows_within_two_seconds(board: Board, page: Page) -> None:
    receipt, offer = start(board, "Drawn live")
    open_live(page, f"/submissions/{receipt.submission_id}")
    plot = page.locator("figure", has_text="Training loss").locator(".plot")
    for step in (25, 50, 75):
        factories.send_points(board, offer, factories.points([step]))
        ending = re.compile(f"after {step} steps$")
        expect(plot).to_have_attribute("aria-label", ending, timeout=WITHIN)
    factories.finish(board, offer)


def test_without_events_the_page_asks(board: Board, page: Page) -> None:
    _, offer = start(board, "Asked for")
    page.add_init_script(f"({WITHOUT_EVENTS})()")
    page.goto("/tracks/debug")
    expect(page.locator("#live-sign")).to_have_text("live, every 3 s")
    factories.heartbeat(board, offer, completed=77)
    expect(page.get_by_text("training, 77 of 250")).to_be_visible(timeout=8_000)
    factories.finish(board, offer)
