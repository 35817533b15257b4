"""The queue: jobs wait by position, each is leased to one worker, and none is lost."""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta

from pydantic import ValidationError
from sqlalchemy import update
from sqlmodel import Session, col, func, or_, select, tuple_

from core.schema.job import JobOffer, JobState, RunSpec
from core.schema.result import FailureKind
from core.schema.track import Track, TrackRules
from server.canary.frozen import standing_freezes
from server.errors import AlreadyEnded, NotFound
from server.identifiers import new_id, new_lease_token
from server.lease import close, enter_state
from server.lease_clock import lease_now
from server.run_specs import run_spec
from server.tables import Attempt, Experiment, Job, Priority, Run, Worker, utc_now
from server.worker_data import worker_keys

logger = logging.getLogger(__name__)


def enqueue(
    session: Session,
    run: Run,
    needs_cuda: bool,
    memory_bytes: int,
    priority: Priority,
    only_worker_id: str | None = None,
    only_key: str | None = None,
) -> Job:
    """Add a job for a run at the end of its priority."""
    last = session.exec(select(func.max(Job.position))).one()
    job = Job.model_validate(
        {
            "id": new_id("j"),
            "run_id": run.id,
            "position": (last or 0) + 1,
            "priority": priority,
            "needs_cuda": needs_cuda,
            "memory_bytes": memory_bytes,
            "only_worker_id": only_worker_id,
            "only_key": only_key,
        }
    )
    session.add(job)
    session.flush()
    enter_state(session, job)
    return job


def jobs_ahead(session: Session, job: Job) -> int:
    """Queued jobs that will be claimed before this one, without those kept for one worker."""
    order = tuple_(col(Job.priority), col(Job.position), col(Job.id))
    before = order < (job.priority, job.position, job.id)
    query = select(func.count()).select_from(Job).where(Job.state == JobState.QUEUED, before)
    query = query.where(col(Job.only_worker_id).is_(None))
    return session.exec(query).one()


def claim(
    session: Session,
    worker_id: str,
    tracks: Mapping[str, Track],
    lease_seconds: float,
    lease_token: str | None = None,
) -> JobOffer | None:
    """Lease the first queued job that fits a worker; None if there is none.

    A job of a track that bounds dollars fits only a device that the track has a price for.
    The caller's transaction makes it exactly one worker's: SQLite has one writer at a time,
    and elsewhere the chosen row is locked and skipped by others.

    Args:
        lease_token: of the lease; a new one unless given.

    Raises:
        NotFound: the worker is not registered.
    """
    worker = session.get(Worker, worker_id)
    if worker is None:
        raise NotFound(f"there is no worker {worker_id!r}; register with POST /api/v1/workers.")
    worker.last_seen_at = utc_now()
    while job := next_job(session, worker, tracks):
        spec = _run_spec(session, job, tracks)
        if spec is not None:
            expires_at = lease_now() + timedelta(seconds=lease_seconds)
            return _lease(session, job, worker, spec, expires_at, lease_token or new_lease_token())
    return None


def extend_leases(session: Session, until: datetime) -> None:
    """Let every lease last until then.

    For the server's start: while it was down, no worker could renew, and its clock may have been
    put forward or back.
    """
    running = update(Job).where(col(Job.state) == JobState.RUNNING)
    session.exec(running.values(lease_expires_at=until))


def cancel(session: Session, run_id: str) -> None:
    """Cancel a queued run at once, or ask the worker of a running one to stop.

    Raises:
        NotFound: the run has no job.
        AlreadyEnded: it succeeded or failed.
    """
    job = session.exec(select(Job).where(Job.run_id == run_id).with_for_update()).one_or_none()
    if job is None:
        raise NotFound(f"run {run_id!r} was never queued.")
    if job.state is JobState.QUEUED:
        close(session, job, JobState.CANCELLED, FailureKind.CANCELLED, "Cancelled in the queue.")
    elif job.state is JobState.RUNNING:
        job.cancel_requested = True
    elif job.state is not JobState.CANCELLED:
        raise AlreadyEnded(f"run {run_id} has {job.state.value} and cannot be cancelled any more.")


def _can_price(rules: TrackRules, device: str) -> bool:
    return rules.budget.cost_usd is None or rules.price_usd_per_hour(device) is not None


def next_job(session: Session, worker: Worker, tracks: Mapping[str, Track]) -> Job | None:
    """The first queued job that fits a worker.

    One that is frozen on a track gets its own alone. What a board waits for goes to workers of its
    data, and to those that have no result on the track yet.
    """
    priced = [name for name, track in tracks.items() if _can_price(track.rules, worker.device)]
    frozen = [freeze.track for freeze in standing_freezes(session, worker.id)]
    keys = worker_keys(session, worker.id, tracks)
    has_data = or_(
        col(Job.only_key).is_(None),
        col(Job.only_key).in_(list(keys.values())),
        col(Experiment.track).not_in(list(keys)),
    )
    is_free = col(Job.only_worker_id).is_(None) & col(Experiment.track).not_in(frozen)
    query = (
        select(Job)
        .join(Run, col(Run.id) == col(Job.run_id))
        .join(Experiment, col(Experiment.hash) == col(Run.experiment_hash))
        .where(Job.state == JobState.QUEUED)
        .where(col(Experiment.track).in_(priced))
        .where(or_(col(Job.only_worker_id) == worker.id, is_free), has_data)
        .order_by(col(Job.priority), col(Job.position), col(Job.id))
        .limit(1)
        .with_for_update(skip_locked=True, of=Job)
    )
    if worker.memory_bytes:
        query = query.where(col(Job.memory_bytes) <= worker.memory_bytes)
    if not worker.has_cuda:
        query = query.where(col(Job.needs_cuda).is_(False))
    return session.exec(query).one_or_none()


def _run_spec(session: Session, job: Job, tracks: Mapping[str, Track]) -> RunSpec | None:
    """What to train; None, and the job failed, if this version cannot read the config."""
    run = session.get_one(Run, job.run_id)
    experiment = session.get_one(Experiment, run.experiment_hash)
    try:
        return run_spec(run, experiment, tracks[experiment.track])
    except ValidationError as error:
        logger.error("stored config is not valid", extra={"job_id": job.id}, exc_info=error)
        message = "The config was accepted by an earlier version of the project; submit it again."
        close(session, job, JobState.FAILED, FailureKind.INTERNAL_ERROR, message)
        session.flush()
        return None


def _lease(
    session: Session, job: Job, worker: Worker, spec: RunSpec, expires_at: datetime, token: str
) -> JobOffer:
    job.state, job.worker_id, job.attempt = JobState.RUNNING, worker.id, job.attempt + 1
    job.lease_token, job.lease_expires_at, job.started_at = token, expires_at, utc_now()
    session.add(
        Attempt.model_validate(
            {
                "job_id": job.id,
                "number": job.attempt,
                "worker_id": worker.id,
                "lease_token": token,
                "started_at": job.started_at,
            }
        )
    )
    session.flush()
    enter_state(session, job)
    logger.info("job leased", extra={"job_id": job.id, "worker_id": worker.id})
    return JobOffer(job_id=job.id, lease_token=token, attempt=job.attempt, run=spec)
