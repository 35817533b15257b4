"""Settling results right after they were stored, those of many workers in one pass.

A result is durable before it is settled. What a server that was killed left unsettled is settled
when it starts again; what could not be settled, every few seconds.
"""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from functools import partial
from threading import Condition

from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from core.schema.track import Track
from server.background_pass import BackgroundPass
from server.database import read_session, write_session
from server.live.hub import Hub
from server.live.topics import QUEUE, run_topic, track_topic
from server.quota.shares import refresh_authors
from server.settlement.settling import Unsettled, any_unsettled, first_unsettled, settle
from server.tables import utc_now

RESULTS_PER_TRANSACTION = 100
"""Others write between two."""
PATIENCE_SECONDS = 2.0
"""How long a reader waits for a pass."""
MAX_REST_SECONDS = 0.02
"""The most between two passes that follow on one another."""

logger = logging.getLogger(__name__)


class Settler:
    """Settles results for callers in any thread: one of them does it for the others, too."""

    def __init__(self, engine: Engine, hub: Hub) -> None:
        self._engine = engine
        self._hub = hub
        self._turn = Condition()
        self._num_asked = self._num_answered = 0
        self._is_passing = self._has_next = False
        self._rests_until = 0.0
        self._in_work: list[str] = []
        self._given_up: set[str] = set()

    def settle(self, tracks: Mapping[str, Track], queues_runs: bool) -> None:
        """Settle all results that were committed before the call, or leave them to a pass to come.

        Where results come fast, one caller waits for the next pass, and the others go on: it takes
        theirs, too.

        Args:
            queues_runs: whether runs that would settle verdicts are queued.
        """
        with self._turn:
            self._num_asked += 1
            if self._has_next:
                return
            self._has_next = True
            self._turn.wait_for(lambda: not self._is_passing)
        # So that a pass takes several.
        time.sleep(max(0.0, self._rests_until - time.monotonic()))
        with self._turn:
            self._has_next, self._is_passing = False, True
            upto, began = self._num_asked, time.monotonic()
        try:
            self._settle_all(tracks, queues_runs)
        finally:
            with self._turn:
                ended = time.monotonic()
                self._rests_until = ended + min(ended - began, MAX_REST_SECONDS)
                self._is_passing, self._num_answered = False, upto
                self._turn.notify_all()

    def wait(self) -> None:
        """Let a reader wait for what was reported before, for a while at most."""
        with self._turn:
            mine = self._num_asked
            self._turn.wait_for(lambda: self._num_answered >= mine, PATIENCE_SECONDS)

    async def start(
        self, interval_seconds: float, tracks: Mapping[str, Track], queues_runs: bool
    ) -> BackgroundPass:
        """Settle what was left, and look again from time to time, in the running event loop.

        Returns:
            What looks; whoever started it stops it.
        """
        await asyncio.to_thread(self._look, tracks, queues_runs)
        look = partial(self._look, tracks, queues_runs)
        passes = BackgroundPass("settler", interval_seconds, look)
        passes.start(_log_end)
        return passes

    def _look(self, tracks: Mapping[str, Track], queues_runs: bool) -> None:
        try:
            if self._is_needed():
                self.settle(tracks, queues_runs)
        except OperationalError as error:
            logger.error("no results were looked for; trying again later", exc_info=error)

    def _is_needed(self) -> bool:
        with read_session(self._engine) as session:
            return any_unsettled(session)

    def _settle_all(self, tracks: Mapping[str, Track], queues_runs: bool) -> None:
        """Settle until nothing is left but what fails.

        Whoever reported a result is not to blame if it, or one of another worker, cannot be
        settled: it is stored, and tried again at the next start.
        """
        limit = RESULTS_PER_TRANSACTION
        while True:
            try:
                if self._pass(tracks, queues_runs, limit) < limit:
                    return
            except OperationalError as error:
                logger.error("results were not settled; trying again later", exc_info=error)
                return
            except Exception as error:
                if not self._in_work:
                    logger.error("results cannot be looked for", exc_info=error)
                    return
                if limit == 1:
                    self._given_up.update(self._in_work)
                    told = {"run_id": self._in_work[0]}
                    logger.error("a result cannot be settled", exc_info=error, extra=told)
                limit = 1

    def _pass(self, tracks: Mapping[str, Track], queues_runs: bool, limit: int) -> int:
        """Settle results in one transaction; how many there were."""
        self._in_work = []
        with write_session(self._engine) as session:
            results = first_unsettled(session, limit, self._given_up)
            self._in_work = [result.run_id for result in results]
            settle(session, results, tracks, queues_runs)
        if authors := {result.charged_to for result in results if result.charged_to}:
            with write_session(self._engine) as session:
                refresh_authors(session, authors, utc_now())
        if results:
            self._hub.tell(_topics(results))
        return len(results)


def _log_end(error: BaseException | None) -> None:
    if error is not None:
        logger.critical("the settler died: results wait for the next report", exc_info=error)


def _topics(settled: Sequence[Unsettled]) -> set[str]:
    """What changes with some results."""
    topics = {topic for one in settled for topic in (track_topic(one.track), run_topic(one.run_id))}
    return {QUEUE, *topics}
