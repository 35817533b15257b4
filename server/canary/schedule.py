"""When a worker gets a canary: before a job of a track, on a schedule and after a change."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.sql.dml import ReturningUpdate
from sqlmodel import Session

from core.estimate.memory import peak_memory
from core.schema.job import JobOffer
from core.schema.result import RunResult
from core.schema.track import Track
from server import job_queue
from server.canary.freezes import ask_again
from server.canary.frozen import frozen_tracks
from server.canary.runs import ask_for_canary
from server.canary.setup import setup_of
from server.canary.tables import CanaryRow
from server.errors import NotFound
from server.expired_leases import ANY_EXPIRED, requeue_expired
from server.job_choice import Claimant, choose
from server.lease_clock import lease_now
from server.outdated_jobs import any_outdated, cancel_outdated
from server.settings import ServerSettings
from server.tables import Job, Run, RunPurpose, UtcDateTime, Worker, table_of, utc_now

RUNS_PER_CANARY = 4
"""Results of a worker on a track before a canary is due again, so that canaries take no more than
a fifth of its time."""

WORKER, JOB, RUN = table_of(Worker), table_of(Job), table_of(Run)
CANARY = table_of(CanaryRow)
NEVER = datetime.min.replace(tzinfo=UTC)
WORKER_ID = bindparam("worker_id", type_=WORKER.c.id.type)
TRACK = bindparam("track", type_=JOB.c.track.type)
LAST_CANARY = (
    select(CANARY.c.asked_at, CANARY.c.device, CANARY.c.setup)
    .where(CANARY.c.worker_id == WORKER_ID, CANARY.c.track == TRACK)
    .where(CANARY.c.freeze_id.is_(None))
    .order_by(CANARY.c.asked_at.desc())
    .limit(1)
)
"""The newest canary; one that ended without a result is not repeated at once either."""
RESULTS = (
    select(RUN.c.result)
    .join_from(JOB, RUN, RUN.c.id == JOB.c.run_id)
    .where(JOB.c.worker_id == WORKER_ID, RUN.c.purpose != RunPurpose.CANARY)
    .where(RUN.c.val_loss.is_not(None))
    .where(RUN.c.finished_at > bindparam("since", type_=UtcDateTime))
)
"""What a worker measured since a moment, without canaries."""
NEWEST_RESULT = RESULTS.order_by(RUN.c.finished_at.desc()).limit(1)
NUM_RESULTS = select(func.count()).select_from(
    RESULTS.with_only_columns(RUN.c.id)
    .where(JOB.c.track == TRACK)
    .limit(RUNS_PER_CANARY)
    .subquery()
)
"""Those on a track, as far as it matters how many there are."""


class LastCanary(NamedTuple):
    """The newest canary of a worker on a track."""

    asked_at: datetime
    device: str
    setup: str


def claim(
    session: Session,
    worker_id: str,
    tracks: Mapping[str, Track],
    settings: ServerSettings,
    lease_token: str | None = None,
    visible_devices: int = 1,
) -> JobOffer | None:
    """Lease a worker its next job, or the canary that is due before it.

    Jobs of silent workers come back first, and what is no longer to be run leaves the queue.

    Args:
        lease_token: of the lease; a new one unless given.
        visible_devices: GPUs that the worker has for a job.

    Raises:
        NotFound: the worker is not registered.
    """
    worker = _meet(session, worker_id, tracks, settings)
    choice = choose(session, worker, tracks)
    if choice is not None and choice.only_worker_id is None and settings.canary_hours:
        track = tracks[choice.track]
        if _is_due(session, worker, track, settings.canary_hours):
            ask_for_canary(session, session.get_one(Worker, worker.id), track)
            choice = choose(session, worker, tracks)
    while choice is not None:
        seconds = settings.lease_seconds
        offer = job_queue.lease(
            session, choice, worker.id, tracks, seconds, lease_token, visible_devices
        )
        if offer is not None:
            return offer
        choice = choose(session, worker, tracks)
    return None


def _meet(
    session: Session, worker_id: str, tracks: Mapping[str, Track], settings: ServerSettings
) -> Claimant:
    """Note that a worker asks, and tidy up what may change what it gets.

    Its row stays locked, so that it has one claim at a time.
    """
    present = tuple((name, track.rules.version) for name, track in tracks.items())
    now = lease_now()
    asks = {"worker_id": worker_id, "now": now, "last_seen_at": utc_now()}
    row = session.connection().execute(_meeting(present), asks).one_or_none()
    if row is None:
        raise NotFound(f"there is no worker {worker_id!r}; register with POST /api/v1/workers.")
    if row.any_expired:
        requeue_expired(session, now, tracks, settings.queues_runs)
    if row.any_outdated or row.any_expired:
        cancel_outdated(session, tracks)
    if row.is_frozen:
        ask_again(session, session.get_one(Worker, worker_id), tracks)
    return Claimant(worker_id, row.device, row.has_cuda, row.memory_bytes, row.is_trusted)


@cache
def _meeting(present: tuple[tuple[str, int], ...]) -> ReturningUpdate[Any]:
    """One statement for who asks, and whether there is anything to tidy up.

    Args:
        present: each track that is served, with its version.
    """
    return (
        update(WORKER)
        .where(WORKER.c.id == WORKER_ID)
        .returning(
            WORKER.c.device,
            WORKER.c.has_cuda,
            WORKER.c.memory_bytes,
            WORKER.c.is_trusted,
            ANY_EXPIRED.label("any_expired"),
            any_outdated(present).label("any_outdated"),
            frozen_tracks(WORKER_ID).exists().label("is_frozen"),
        )
    )


def _is_due(session: Session, worker: Claimant, track: Track, hours: float) -> bool:
    """Whether a worker should repeat a track's baseline before it goes on.

    A worker whose memory the baseline does not fit never is asked.
    """
    asked = {"worker_id": worker.id, "track": track.rules.name}
    found = session.connection().execute(LAST_CANARY, asked).one_or_none()
    last = LastCanary(*found) if found is not None else None
    since = last.asked_at if last is not None else NEVER
    is_due = last is not None and _has_changed(session, worker, last)
    if not is_due and utc_now() - since >= timedelta(hours=hours):
        counted = session.connection().execute(NUM_RESULTS, {**asked, "since": since})
        is_due = counted.scalar_one() >= RUNS_PER_CANARY
    fits = not worker.memory_bytes or peak_memory(track.base).total <= worker.memory_bytes
    return is_due and fits


def _has_changed(session: Session, worker: Claimant, last: LastCanary) -> bool:
    """Whether the worker has another device, driver or PyTorch than its last canary had."""
    if worker.device != last.device:
        return True
    if not last.setup:
        return False
    asked = {"worker_id": worker.id, "since": last.asked_at}
    newest = session.connection().execute(NEWEST_RESULT, asked).scalar_one_or_none()
    return newest is not None and setup_of(RunResult.model_validate(newest)) != last.setup
