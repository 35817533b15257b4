"""What people come for, from the first page on: each test is one of their stories."""

import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from benchmarks.gallery.busy_board import BusyBoard
from benchmarks.gallery.gallery_server import GalleryServer
from benchmarks.gallery.visitors import READER, new_page
from core.schema.job import JobOffer
from server.live import event_stream

pytestmark = pytest.mark.browser

SEEN_SECONDS = 2.0
"""From a worker's report until a reader sees it."""
WINNER = "QK-norm and zero init"
NEWCOMER = "zoe"
YAML = f"""track: debug
name: Shorter warm-up
author: {NEWCOMER}
hypothesis: Muon needs no long warm-up.
overrides:
  schedule.warmup_fraction: 0.01
"""


@pytest.fixture
def reader(browser: Browser, gallery: GalleryServer, busy: BusyBoard) -> Iterator[Page]:
    """A page of somebody who is not signed in."""
    page = new_page(browser, gallery.url)
    yield page
    page.context.close()


@pytest.fixture
def newcomer(browser: Browser, gallery: GalleryServer, busy: BusyBoard) -> Iterator[Page]:
    """A page of somebody who has signed in for the first time."""
    page = new_page(browser, gallery.url, NEWCOMER)
    yield page
    page.context.close()


def rows(page: Page) -> list[str]:
    """Names on the board, without the baseline's."""
    return page.locator(
        ".board tbody tr:not(.baseline) th.name > a:first-child"
    ).all_text_contents()


def test_the_best_verified_submission_under_a_cost(reader: Page) -> None:
    reader.goto("/")
    reader.get_by_role("link", name="Debug, any processor", exact=True).click()
    reader.get_by_text("More filters and columns").click()
    reader.get_by_role("combobox", name="Verified").select_option("verified")
    reader.get_by_label("Cost at most, $").fill("0.0028")
    reader.get_by_role("button", name="Show").click()
    reader.wait_for_url(re.compile("max_cost_usd=0.0028"))
    # The record costs more, and the sandwich norms were measured by a guest alone.
    assert rows(reader)[0] == WINNER
    assert "Sandwich norms" not in rows(reader)
    reader.get_by_role("link", name="Cost", exact=True).click()
    reader.wait_for_url(re.compile("sort=cost"))
    assert rows(reader)[0] == "Squared ReLU"
    reader.go_back()
    reader.get_by_role("link", name=WINNER, exact=True).click()
    expect(reader.get_by_role("heading", level=1)).to_contain_text(WINNER)


def test_why_it_won(reader: Page, busy: BusyBoard) -> None:
    reader.goto(f"/submissions/{busy.measured[6]}")
    changed = reader.get_by_role("group", name="Settings that differ from the baseline")
    for setting in ("model.zero_init_projections", "model.attention.qk_norm"):
        row = changed.get_by_role("row", name=setting)
        expect(row.get_by_role("cell")).to_have_text(["false", "true"])
    # The verdict, and the runs behind it as points.
    saying = reader.locator(".saying")
    expect(saying).to_contain_text("better")
    expect(saying).to_contain_text("99 % interval −")
    expect(reader.locator(".strip circle.own")).to_have_count(3)
    expect(reader.locator(".strip circle.other")).to_have_count(10)
    # Which of the two settings it was.
    parts = reader.get_by_role("heading", name=re.compile("contributes"))
    expect(parts).to_be_visible()
    # How it trained, by the tokens that it had read.
    loss = reader.locator("figure", has_text="Validation loss")
    expect(loss.locator(".plot")).to_have_attribute("aria-label", re.compile("after 250 steps"))
    reader.get_by_label("tokens", exact=True).check()
    expect(loss.locator(".u-legend")).to_contain_text("tokens")


def test_a_comparison_with_ones_own(
    browser: Browser, gallery: GalleryServer, busy: BusyBoard
) -> None:
    page = new_page(browser, gallery.url, READER)
    page.goto("/tracks/debug")
    page.get_by_label("Compare QK-norm", exact=True).check()
    page.get_by_label("Compare Squared ReLU, QK-norm, NorMuon", exact=True).check()
    page.get_by_role("button", name="Compare", exact=True).click()
    differs = page.get_by_role("group", name="Settings that differ")
    expect(differs.get_by_role("row", name="optimizer.muon.neuron_norm")).to_be_visible()
    # What both have is no difference.
    expect(differs.get_by_role("row", name="model.attention.qk_norm")).to_have_count(0)
    # A is the higher one on the board, so that one's own is B.
    verdicts = page.get_by_role("group", name="Verdicts against A")
    expect(verdicts.get_by_role("row", name="B QK-norm")).to_contain_text("worse")
    legend = page.locator("figure", has_text="Validation loss").locator(".u-legend")
    expect(legend).to_contain_text("A, seed 1000")
    expect(legend).to_contain_text("B, seed 1000")
    page.context.close()


def test_an_idea_is_submitted_and_watched_until_it_ends(
    newcomer: Page, gallery: GalleryServer
) -> None:
    newcomer.goto("/")
    newcomer.get_by_role("link", name="Submit", exact=True).click()
    newcomer.get_by_role("textbox", name="YAML").fill(YAML.replace("warmup", "warmpu"))
    newcomer.get_by_role("button", name=f"Submit as {NEWCOMER}").click()
    # Refused with a remedy, and what was written is still there.
    expect(newcomer.get_by_text("schedule.warmup_fraction")).to_be_visible()
    newcomer.get_by_role("textbox", name="YAML").fill(YAML)
    newcomer.get_by_role("button", name=f"Submit as {NEWCOMER}").click()
    expect(newcomer.get_by_role("heading", level=1)).to_have_text("Shorter warm-up")
    standing = newcomer.locator(".standing")
    expect(standing).to_contain_text("queued")
    expect(newcomer.locator("#live-sign")).to_have_text("live")
    newcomer.wait_for_timeout(1_000 * event_stream.EVERY_SECONDS)

    offer = take(gallery, newcomer.url.rpartition("/")[2])
    gallery.hands.advance(offer, 50)
    expect(standing).to_contain_text("training, 50 of 250")
    plot = newcomer.locator("figure", has_text="Training loss").locator(".plot")
    for step in (100, 150, 200):
        reported = time.monotonic()
        gallery.hands.advance(offer, step)
        expect(plot).to_have_attribute("aria-label", re.compile(f"after {step} steps$"))
        assert time.monotonic() - reported < SEEN_SECONDS
    gallery.hands.finish(offer)
    expect(standing).to_contain_text("succeeded")
    expect(newcomer.locator(".saying")).to_contain_text("nats against the baseline")


def take(gallery: GalleryServer, submission_id: str) -> JobOffer:
    """Have a worker take a submission's run, after what it is offered before."""
    worker_id = gallery.hands.register("night-shift")
    for _ in range(20):
        offer = gallery.hands.take(worker_id)
        if offer.run.experiment.schedule.warmup_fraction == 0.01:
            return offer
        gallery.hands.finish(offer)
    pytest.fail(f"nobody was offered {submission_id}")


def test_why_a_run_failed(reader: Page) -> None:
    reader.goto("/tracks/debug")
    ended = reader.get_by_role("group", name="Ended without a result")
    ended.get_by_role("link", name="Ten times the rate").click()
    failure = reader.locator(".failure")
    expect(failure).to_contain_text("diverged, the submission's fault")
    expect(failure).to_contain_text("The training loss is nan at step 20.")
    expect(failure).to_contain_text("lower the learning rates")
    failure.get_by_role("link", name="The end of its log").click()
    log = reader.get_by_label("End of the log")
    expect(log).to_be_in_viewport()
    expect(log).to_contain_text("step 20: loss nan")
