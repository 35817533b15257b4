"""Which rendered pages are kept, for how long, and who renders one anew.

It lives in the event loop, so that nothing here happens at the same time.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable

from server.live.hub import Hub
from server.rendered.entry import RenderedPage

STALE_SECONDS = 5.0
"""How old a page may be that is sent while somebody renders it anew."""
MAX_PAGES = 1_000
MAX_BYTES = 64 * 1024 * 1024

Key = tuple[str, bytes]
"""Path and query."""


class PageCache:
    """Rendered pages by their address; those that were not asked for longest go first."""

    def __init__(
        self, hub: Hub, fresh_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.hub = hub
        self.clock = clock
        self._fresh_seconds = fresh_seconds
        self._pages: OrderedDict[Key, RenderedPage] = OrderedDict()
        self._num_bytes = 0
        self._rendering: dict[Key, asyncio.Future[bool]] = {}

    def find(self, key: Key, *, is_newest: bool) -> RenderedPage | None:
        """A page that may be sent now; None if it has to be rendered or waited for.

        Args:
            is_newest: whether nothing may have changed since, not even the progress of a run.
        """
        page = self._pages.get(key)
        if page is None:
            return None
        self._pages.move_to_end(key)
        age, now = self.clock() - page.rendered_at, self.hub.changes
        changed = page.changes != now if is_newest else page.changes.of_boards != now.of_boards
        if age < self._fresh_seconds and not changed:
            return page
        may_be_stale = not is_newest and key in self._rendering
        return page if may_be_stale and age < STALE_SECONDS else None

    def is_rendered_by_another(self, key: Key) -> bool:
        """Whether a request for it is under way."""
        return key in self._rendering

    async def wait(self, key: Key) -> bool:
        """Wait until that request is done; whether its answer is kept."""
        # Whoever stops waiting takes nothing from the others.
        return await asyncio.shield(self._rendering[key])

    def begin(self, key: Key) -> None:
        """Take it on to render a page."""
        self._rendering[key] = asyncio.get_running_loop().create_future()

    def end(self, key: Key, page: RenderedPage | None) -> None:
        """Be done with rendering a page; None if what came is not to be kept."""
        is_kept = page is not None and page.num_bytes <= MAX_BYTES
        self._rendering.pop(key).set_result(is_kept)
        self._drop(key)
        if page is None or not is_kept:
            return
        self._pages[key] = page
        self._num_bytes += page.num_bytes
        while len(self._pages) > MAX_PAGES or self._num_bytes > MAX_BYTES:
            self._drop(next(iter(self._pages)))

    def _drop(self, key: Key) -> None:
        page = self._pages.pop(key, None)
        self._num_bytes -= page.num_bytes if page is not None else 0
