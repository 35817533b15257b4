import asyncio
from collections.abc import Callable

import pytest

from server.live.hub import Hub
from server.rendered import cache as cache_module
from server.rendered.cache import PageCache
from server.rendered.entry import RenderedPage

KEY = ("/tracks/debug", b"")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def within(act: Callable[[PageCache, Hub, Clock], None]) -> None:
    """Do something with a cache of one second, in an event loop."""

    async def run() -> None:
        hub, clock = Hub(), Clock()
        act(PageCache(hub, 1.0, clock), hub, clock)

    asyncio.run(run())


def keep(cache: PageCache, body: bytes = b"page", key: tuple[str, bytes] = KEY) -> None:
    changes, moment = cache.hub.changes, cache.clock()
    cache.begin(key)
    cache.end(key, RenderedPage.of(body, [], changes, moment))


def test_a_page_is_fresh_for_its_time() -> None:
    def act(cache: PageCache, hub: Hub, clock: Clock) -> None:
        assert cache.find(KEY, is_newest=False) is None
        keep(cache)
        clock.now += 0.99
        assert cache.find(KEY, is_newest=False) is not None
        clock.now += 0.01
        assert cache.find(KEY, is_newest=False) is None

    within(act)


def test_a_change_of_a_board_ends_it_and_progress_only_for_those_who_ask() -> None:
    def act(cache: PageCache, hub: Hub, clock: Clock) -> None:
        keep(cache)
        assert cache.find(KEY, is_newest=True) is not None
        hub.tell(["run:r_1"], of_boards=False)
        assert cache.find(KEY, is_newest=False) is not None
        assert cache.find(KEY, is_newest=True) is None
        hub.tell(["queue"])
        assert cache.find(KEY, is_newest=False) is None

    within(act)


def test_what_changes_while_a_page_is_rendered_ends_it() -> None:
    def act(cache: PageCache, hub: Hub, clock: Clock) -> None:
        changes = hub.changes
        cache.begin(KEY)
        hub.tell(["queue"])
        cache.end(KEY, RenderedPage.of(b"page", [], changes, clock.now))
        assert cache.find(KEY, is_newest=False) is None

    within(act)


def test_the_last_version_goes_out_while_the_next_is_rendered() -> None:
    def act(cache: PageCache, hub: Hub, clock: Clock) -> None:
        keep(cache)
        hub.tell(["queue"])
        cache.begin(KEY)
        clock.now += 4.99
        assert cache.find(KEY, is_newest=False) is not None
        assert cache.find(KEY, is_newest=True) is None
        clock.now += 0.01
        assert cache.find(KEY, is_newest=False) is None

    within(act)


@pytest.mark.parametrize("bound", ["MAX_PAGES", "MAX_BYTES"])
def test_the_page_that_was_asked_for_longest_ago_goes_first(
    bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = RenderedPage.of(b"page", [], Hub().changes, 0.0).num_bytes
    monkeypatch.setattr(cache_module, bound, 2 if bound == "MAX_PAGES" else 2 * size)

    def act(cache: PageCache, hub: Hub, clock: Clock) -> None:
        keep(cache, key=("/a", b""))
        keep(cache, key=("/b", b""))
        assert cache.find(("/a", b""), is_newest=False)
        keep(cache, key=("/c", b""))
        found = [bool(cache.find((path, b""), is_newest=False)) for path in ("/a", "/b", "/c")]
        assert found == [True, False, True]

    within(act)


def test_a_page_that_is_too_large_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "MAX_BYTES", 10)

    def act(cache: PageCache, hub: Hub, clock: Clock) -> None:
        keep(cache, b"more than ten bytes")
        assert cache.find(KEY, is_newest=False) is None

    within(act)
