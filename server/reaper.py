"""The background task that takes jobs back from silent workers, and keeps shares fair."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from core.schema.track import Track
from server.database import write_session
from server.expired_leases import requeue_expired
from server.lease_clock import lease_now
from server.live.hub import Hub
from server.quota.shares import refresh_shares
from server.tables import utc_now

logger = logging.getLogger(__name__)


class Reaper:
    """Requeues expired leases and refreshes shares every few seconds, while its server runs."""

    def __init__(
        self,
        engine: Engine,
        interval_seconds: float,
        tracks: Mapping[str, Track],
        queues_runs: bool,
        hub: Hub,
    ) -> None:
        self._engine = engine
        self._tracks = tracks
        self._queues_runs = queues_runs
        self._hub = hub
        self._interval_seconds = interval_seconds
        self._task: asyncio.Task[None] | None = None

    @property
    def is_alive(self) -> bool:
        """Whether leases still expire; the health page shows it."""
        return self._task is not None and not self._task.done()

    def start(self) -> None:
        """Begin, in the running event loop."""
        self._task = asyncio.create_task(self._run(), name="reaper")
        self._task.add_done_callback(_log_end)

    async def stop(self) -> None:
        """End, and wait until a pass under way is done."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval_seconds)
            try:
                await asyncio.to_thread(self._pass)
            except SQLAlchemyError as error:
                logger.error(
                    "expired leases were not requeued, or shares not refreshed; trying again",
                    exc_info=error,
                )

    def _pass(self) -> None:
        with write_session(self._engine) as session:
            count = requeue_expired(session, lease_now(), self._tracks, self._queues_runs)
        if count:
            self._hub.tell_all()
        with write_session(self._engine) as session:
            refresh_shares(session, utc_now())


def _log_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        logger.critical("the reaper died: leases no longer expire", exc_info=error)
