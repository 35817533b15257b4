"""The background task that takes jobs back from silent workers, and keeps shares fair."""

import logging
from collections.abc import Mapping

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from core.schema.track import Track
from server.background_pass import BackgroundPass
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
        self._passes = BackgroundPass("reaper", interval_seconds, self._try_pass)

    @property
    def is_alive(self) -> bool:
        """Whether leases still expire; the health page shows it."""
        return self._passes.is_alive

    def start(self) -> None:
        """Begin, in the running event loop."""
        self._passes.start(_log_end)

    async def stop(self) -> None:
        """End, and wait until a pass under way is done."""
        await self._passes.stop()

    def _try_pass(self) -> None:
        try:
            self._pass()
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


def _log_end(error: BaseException | None) -> None:
    if error is not None:
        logger.critical("the reaper died: leases no longer expire", exc_info=error)
