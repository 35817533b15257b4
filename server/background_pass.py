"""Work that a server does every few seconds, as long as it runs."""

import asyncio
from collections.abc import Callable
from contextlib import suppress


class BackgroundPass:
    """Makes a pass in a thread, waits, and makes the next one; an error of a pass is its last.

    A pass is never cut short: it would go on in its thread, with a database that is closed.
    """

    def __init__(self, name: str, interval_seconds: float, make_pass: Callable[[], None]) -> None:
        self._name = name
        self._interval_seconds = interval_seconds
        self._make_pass = make_pass
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    @property
    def is_alive(self) -> bool:
        """Whether there will be another pass."""
        return self._task is not None and not self._task.done()

    @property
    def is_stopping(self) -> bool:
        """Whether a pass that has much left should leave it."""
        return self._stopping.is_set()

    def start(self, on_end: Callable[[BaseException | None], None]) -> None:
        """Begin, in the running event loop.

        Args:
            on_end: told once there is no further pass, with the error of the last one.
        """
        self._task = asyncio.create_task(self._run(), name=self._name)
        self._task.add_done_callback(lambda task: on_end(_error(task)))

    async def stop(self) -> None:
        """End, and wait until a pass under way is done; the same again changes nothing."""
        self._stopping.set()
        if self._task is not None and not self._task.done():
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while not await self._stops_within(self._interval_seconds):
            await asyncio.to_thread(self._make_pass)

    async def _stops_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()


def _error(task: asyncio.Task[None]) -> BaseException | None:
    return None if task.cancelled() else task.exception()
