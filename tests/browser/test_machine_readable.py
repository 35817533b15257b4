"""Data blocks and pictures in a real browser, under the policy that every answer carries."""

import json
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.server import factories

pytestmark = pytest.mark.browser

Board = Any
"""An `httpx.Client`, which has all that the factories want of a `TestClient`."""

EVIL = "</script><script>alert(1)</script>"
COLLECT = """
window.violations = [];
document.addEventListener('securitypolicyviolation', e => window.violations.push(e.violatedDirective));
"""


def finished(board: Board, dropout: float) -> str:
    receipt = factories.submit(board, EVIL, {"model.dropout": dropout})
    offer = factories.claim_one(board)
    assert offer.run.run_id == receipt.run_id
    factories.finish(board, offer, 1.9)
    return receipt.submission_id


def test_the_policy_lets_data_blocks_be_read(board: Board, page: Page) -> None:
    page.add_init_script(COLLECT)
    submission = finished(board, 0.21)
    for path, kind in [("/tracks/debug", "Dataset"), (f"/submissions/{submission}", "Report")]:
        page.goto(path)
        blocks = page.locator('script[type="application/ld+json"]').all_text_contents()
        assert [json.loads(block)["@type"] for block in blocks] == [kind]
        assert page.evaluate("window.violations") == []
    assert json.loads(blocks[0])["name"] == EVIL


def test_the_policy_stops_a_script_where_the_data_stands(context: BrowserContext) -> None:
    """What the test above looks for would be seen."""
    page = context.new_page()
    page.add_init_script(COLLECT)
    page.goto("/tracks/debug")
    page.evaluate(
        """() => {
            const script = document.createElement('script');
            script.textContent = 'window.ran = true';
            document.head.append(script);
        }"""
    )
    assert page.evaluate("[window.ran, window.violations]") == [None, ["script-src-elem"]]


def test_a_badge_and_a_card_are_shown_by_themselves(board: Board, context: BrowserContext) -> None:
    submission = finished(board, 0.22)
    # The browser asks for a favicon of its own accord, and styles pictures against the policy.
    page = context.new_page()
    page.goto(f"/submissions/{submission}/badge.svg")
    overhang = page.evaluate(
        """() => [...document.querySelectorAll('text')].map(text => {
            const box = text.getBBox();
            return box.x + box.width - Number(document.documentElement.getAttribute('width'));
        })"""
    )
    assert len(overhang) == 2
    assert max(overhang) < 0
    page.goto(f"/submissions/{submission}/card.png")
    assert page.locator("img").evaluate("image => image.naturalWidth") == 1200
