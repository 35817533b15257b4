"""Curves of expert load in a real browser: drawn where there are experts, and hidden elsewhere."""

from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from core.schema.metric_point import EXPERT_LOAD
from tests.server import factories

pytestmark = pytest.mark.browser


def figure(page: Page, metric: str) -> Locator:
    return page.locator(f"figure[data-metrics={metric}]")


def test_the_load_of_experts_is_drawn_with_the_range_of_the_seeds(board: Any, page: Page) -> None:
    overrides = {"optimizer.adamw.learning_rate": 0.0041}
    for val_loss in (1.0, 2.0):
        receipt = factories.submit(board, "Experts", overrides)
        offer = factories.claim_one(board)
        factories.send_points(board, offer, factories.with_load(factories.points(steps=(1, 4))))
        factories.finish(board, offer, val_loss)
    page.goto(f"/submissions/{receipt.submission_id}")
    for metric in EXPERT_LOAD:
        expect(figure(page, metric).locator("canvas")).to_be_visible()
        expect(figure(page, metric).locator(".u-legend")).to_contain_text("range of 2 seeds")
    expect(figure(page, "expert_max_violation").locator(".plot")).to_have_attribute(
        "aria-label",
        "Expert imbalance busiest expert ÷ even share − 1 (MaxVio), mean of layers: "
        "seed 1000 ends at 1 after 4 steps; seed 1001 ends at 1 after 4 steps",
    )


def test_a_share_that_is_always_zero_has_an_axis_of_shares(board: Any, page: Page) -> None:
    receipt = factories.submit(board, "Never idle", {"optimizer.adamw.learning_rate": 0.0042})
    offer = factories.claim_one(board)
    even = [
        point.model_copy(update={"idle_expert_share": 0.0})
        for point in factories.with_load(factories.points())
    ]
    factories.send_points(board, offer, even)
    page.goto(f"/submissions/{receipt.submission_id}")
    expect(figure(page, "idle_expert_share").locator("canvas")).to_be_visible()
    heights = "(key) => uPlot.sync(key).plots.map((plot) => plot.scales.y.max)"
    highest = page.evaluate(heights, f"/api/v1/submissions/{receipt.submission_id}/curves")
    assert highest[-1] == 1
    factories.finish(board, offer)


def test_a_run_without_experts_has_no_such_curves(board: Any, page: Page) -> None:
    receipt = factories.submit(board, "Dense", {"optimizer.adamw.learning_rate": 0.0043})
    factories.finish(board, factories.claim_one(board))
    page.goto(f"/submissions/{receipt.submission_id}")
    expect(figure(page, "gradient_norm").locator("canvas")).to_be_visible()
    for metric in EXPERT_LOAD:
        expect(figure(page, metric)).to_be_hidden()
