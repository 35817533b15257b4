"""Freezing a worker on a track, and thawing it once its baseline was measured anew."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from pydantic import JsonValue
from sqlmodel import Session, col, func, select

from core.schema.job import JobState
from core.schema.ledger import LedgerKind
from core.schema.track import Track
from server.canary.frozen import standing_freezes
from server.canary.held import hold_results, judge_boards, release_results
from server.canary.runs import ask_for_baseline
from server.canary.tables import CanaryRow, WorkerFreeze
from server.ledger.entries import record
from server.tables import Job, Run, Worker, utc_now

RETRY_AFTER = timedelta(hours=24)
"""How long a worker that measured the baseline otherwise than the board waits for another try."""

logger = logging.getLogger(__name__)


def freeze_worker(
    session: Session,
    worker: Worker,
    track: Track,
    reason: str,
    in_control_at: datetime,
    queues_runs: bool,
) -> None:
    """Hold what a worker measured since it was last in control, and ask it for the baseline."""
    name = track.rules.name
    row = WorkerFreeze.model_validate({"worker_id": worker.id, "track": name, "reason": reason})
    session.add(row)
    session.flush()
    held = hold_results(session, worker.id, name, in_control_at, reason)
    _enter(session, row, "frozen", reason, held)
    ask_for_baseline(session, worker, track, row)
    judge_boards(session, held, track, queues_runs)
    logger.warning("worker frozen", extra={"worker_id": worker.id, "track": name})


def thaw_worker(
    session: Session, row: WorkerFreeze, track: Track, setup: str, outcome: str, queues_runs: bool
) -> None:
    """Trust a worker again, and let what it measured with this setup count."""
    row.thawed_at, row.outcome = utc_now(), outcome
    session.add(row)
    released = release_results(session, row.worker_id, row.track, setup)
    _enter(session, row, "thawed", outcome, released)
    judge_boards(session, released, track, queues_runs)
    logger.info("worker thawed", extra={"worker_id": row.worker_id, "track": row.track})


def stay_frozen(session: Session, row: WorkerFreeze, outcome: str) -> None:
    """Note why a worker is still not trusted."""
    row.outcome = outcome
    session.add(row)
    _enter(session, row, "still frozen", outcome, ())


def ask_again(session: Session, worker: Worker, tracks: Mapping[str, Track]) -> None:
    """Ask a frozen worker for the baseline once more, a day after the last time."""
    for row in standing_freezes(session, worker.id):
        waited = utc_now() - row.asked_at >= RETRY_AFTER
        if waited and row.track in tracks and not _runs_under_way(session, row):
            ask_for_baseline(session, worker, tracks[row.track], row)


def _enter(
    session: Session, row: WorkerFreeze, state: str, reason: str, runs: Sequence[Run]
) -> None:
    """Tell the ledger of a worker's state, and of the runs that are held or released by it."""
    contents: dict[str, JsonValue] = {
        "state": state,
        "track": row.track,
        "reason": reason,
        "runs": [run.id for run in runs],
    }
    record(session, LedgerKind.WORKER, row.worker_id, contents)


def _runs_under_way(session: Session, row: WorkerFreeze) -> int:
    states = (JobState.QUEUED, JobState.RUNNING)
    query = select(func.count()).select_from(Job)
    query = query.join(CanaryRow, col(CanaryRow.run_id) == col(Job.run_id))
    query = query.where(CanaryRow.freeze_id == row.id, col(Job.state).in_(states))
    return session.exec(query).one()
