"""How heavy pages are, as the benchmark of the first paint finds them; times are for it to tell."""

import pytest
from playwright.sync_api import Browser

from benchmarks.first_paint import measure

pytestmark = pytest.mark.browser

MAX_PAGE_BYTES = 150_000
MAX_CHARTS_BYTES = 400_000


def test_pages_are_light_and_fetch_what_draws_charts_only_where_there_are_some(
    browser: Browser,
) -> None:
    paints = {paint.name: paint for paint in measure(browser, times=1, rows=60)}
    boards = {"leaderboard of 60", "leaderboard of 10"}
    assert set(paints) == boards | {"submission", "comparison of six"}
    for name, paint in paints.items():
        assert 10_000 < paint.page_bytes < MAX_PAGE_BYTES
        assert paint.next_ms > 0
        assert paint.first_ms > 0
        if name in boards:
            assert paint.charts_bytes == 0
        else:
            assert 10_000 < paint.charts_bytes < MAX_CHARTS_BYTES
