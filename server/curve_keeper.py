"""The background task that keeps the curves of long runs condensed."""

import logging
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, func
from sqlalchemy import select as select_columns
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session

from core.schema.job import JobState
from server.background_pass import BackgroundPass
from server.claim_order import JOB
from server.database import read_session, write_session
from server.kept_curves import KEPT, METRIC, keep_curves
from server.tables import utc_now

logger = logging.getLogger(__name__)

MIN_STEPS = 1_000
"""Steps that a run has to go on before its kept curves follow."""
MAX_POINTS = 20_000
"""Points that are taken in at once."""
RUNS_PER_PASS = 50
MARGIN = timedelta(minutes=1)
"""A run that has ended so long before a pass may have been reported after it began."""


class CurveKeeper:
    """Looks for runs that have gone on every few seconds, as long as its server runs."""

    def __init__(self, engine: Engine, interval_seconds: float) -> None:
        self._engine = engine
        self._passes = BackgroundPass("curve keeper", interval_seconds, self._pass)
        self._ended_after = datetime.fromtimestamp(0, tz=utc_now().tzinfo)

    def start(self) -> None:
        """Begin, in the running event loop."""
        self._passes.start(_log_end)

    async def stop(self) -> None:
        """End, and wait until a pass under way is done."""
        await self._passes.stop()

    def keep(self) -> bool:
        """Bring up to date what goes on, and what ended: at first all of it, later since then.

        Returns:
            Whether some had to be left for another pass.
        """
        now = utc_now()
        with read_session(self._engine) as session:
            behind = _runs_behind(session, self._ended_after)
        for run_id in behind[:RUNS_PER_PASS]:
            has_more = True
            while has_more and not self._passes.is_stopping:
                with write_session(self._engine) as session:
                    has_more = keep_curves(session, run_id, MAX_POINTS)
        has_left = len(behind) > RUNS_PER_PASS
        if not has_left:
            self._ended_after = now - MARGIN
        return has_left

    def _pass(self) -> None:
        try:
            self.keep()
        except SQLAlchemyError as error:
            logger.error("curves were not kept; trying again: %s", error)


def _log_end(error: BaseException | None) -> None:
    if error is not None:
        logger.critical("the curve keeper died: long curves are read whole", exc_info=error)


def _runs_behind(session: Session, ended_after: datetime) -> list[str]:
    """Runs that go on, or ended after a moment, with many points that no kept curve tells of."""
    newest: Any = select_columns(METRIC.c.step).where(METRIC.c.run_id == JOB.c.run_id)
    newest = newest.order_by(METRIC.c.step.desc()).limit(1).scalar_subquery()
    runs = select_columns(JOB.c.run_id, newest, func.coalesce(KEPT.c.through_step, 0))
    runs = runs.outerjoin(KEPT, KEPT.c.run_id == JOB.c.run_id)
    ended = [state for state in JobState if state.is_final]
    # Two statements, each of which has its index.
    wanted = (
        runs.where(JOB.c.state == JobState.RUNNING),
        runs.where(JOB.c.state.in_(ended), JOB.c.finished_at >= ended_after),
    )
    return [
        run_id
        for query in wanted
        for run_id, step, through_step in session.connection().execute(query)
        if step is not None and step - through_step >= MIN_STEPS
    ]
