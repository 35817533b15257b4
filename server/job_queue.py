"""The queue: jobs wait in the order of claims, each is leased to one worker, and none is lost.

`server.job_choice` says which of them a worker gets.
"""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta

from pydantic import ValidationError
from sqlalchemy import bindparam, update
from sqlmodel import Session, col, func, select

from core.schema.experiment import ExperimentConfig
from core.schema.job import JobOffer, JobState, RunSpec
from core.schema.ledger import LedgerKind
from core.schema.result import FailureKind
from core.schema.track import Track
from server.claim_order import stands_before
from server.errors import AlreadyEnded, NotFound
from server.identifiers import new_id, new_lease_token
from server.job_choice import Choice
from server.lease import close, enter_state, state_contents
from server.lease_clock import lease_now
from server.ledger.entries import record
from server.quota.shares import used_minutes
from server.run_specs import run_spec
from server.tables import Attempt, Experiment, Job, Priority, Run, table_of, utc_now

BEGUN_ATTEMPT = table_of(Attempt).insert()
LEASED_JOB = update(table_of(Job)).where(table_of(Job).c.id == bindparam("leased_id"))

logger = logging.getLogger(__name__)


def enqueue(
    session: Session,
    run: Run,
    needs_cuda: bool,
    memory_bytes: int,
    priority: Priority,
    only_worker_id: str | None = None,
    only_key: str | None = None,
    only_trusted: bool = False,
    charged_to: str = "",
    estimated_seconds: float = 0.0,
) -> Job:
    """Add a job for a run, behind those of its priority whose authors used as little."""
    last = session.exec(select(func.max(Job.position))).one()
    experiment = session.get_one(Experiment, run.experiment_hash)
    job = Job.model_validate(
        {
            "id": new_id("j"),
            "run_id": run.id,
            "track": experiment.track,
            "track_version": experiment.track_version,
            "position": (last or 0) + 1,
            "priority": priority,
            "needs_cuda": needs_cuda,
            "memory_bytes": memory_bytes,
            "only_worker_id": only_worker_id,
            "only_key": only_key,
            "only_trusted": only_trusted,
            "charged_to": charged_to,
            "estimated_seconds": estimated_seconds,
            "author_gpu_minutes": used_minutes(session, charged_to, utc_now()),
        }
    )
    session.add(job)
    session.flush()
    enter_state(session, job)
    return job


def jobs_ahead(session: Session, job: Job) -> int:
    """Queued jobs that will be claimed before this one, without those kept for one worker."""
    query = select(func.count()).select_from(Job).where(Job.state == JobState.QUEUED)
    query = query.where(stands_before(job), col(Job.only_worker_id).is_(None))
    return session.exec(query).one()


def lease(
    session: Session,
    choice: Choice,
    worker_id: str,
    tracks: Mapping[str, Track],
    seconds: float,
    lease_token: str | None = None,
    visible_devices: int = 1,
) -> JobOffer | None:
    """Lease a job to the worker that it was chosen for.

    The caller's transaction, in which it was chosen, makes it exactly one worker's: SQLite has one
    writer at a time, and elsewhere the chosen row is locked and skipped by others.

    Args:
        lease_token: of the lease; a new one unless given.
        visible_devices: GPUs that the worker has for it.

    Returns:
        The offer; None, and the job failed, if this version cannot read the config.
    """
    spec = _run_spec(session, choice, tracks)
    if spec is None:
        return None
    token, attempt = lease_token or new_lease_token(), choice.attempt + 1
    now = utc_now()
    begun = {
        "job_id": choice.job_id,
        "number": attempt,
        "worker_id": worker_id,
        "lease_token": token,
        "num_devices": spec.num_devices(visible_devices),
        "started_at": now,
        "message": "",
    }
    connection = session.connection()
    connection.execute(BEGUN_ATTEMPT, begun)
    leased = {
        "leased_id": choice.job_id,
        "state": JobState.RUNNING,
        "worker_id": worker_id,
        "attempt": attempt,
        "lease_token": token,
        "lease_expires_at": lease_now() + timedelta(seconds=seconds),
        "started_at": now,
    }
    connection.execute(LEASED_JOB, leased)
    contents = state_contents(choice.run_id, JobState.RUNNING, attempt, worker_id)
    record(session, LedgerKind.JOB, choice.job_id, contents)
    logger.info("job leased", extra={"job_id": choice.job_id, "worker_id": worker_id})
    return JobOffer(job_id=choice.job_id, lease_token=token, attempt=attempt, run=spec)


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


def _run_spec(session: Session, choice: Choice, tracks: Mapping[str, Track]) -> RunSpec | None:
    """What to train; None, and the job failed, if this version cannot read the config."""
    try:
        return run_spec(
            choice.run_id,
            choice.seed,
            choice.track_version,
            ExperimentConfig.model_validate_json(choice.config),
            tracks[choice.track],
        )
    except ValidationError as error:
        logger.error("stored config is not valid", extra={"job_id": choice.job_id}, exc_info=error)
        message = "The config was accepted by an earlier version of the project; submit it again."
        job = session.get_one(Job, choice.job_id)
        close(session, job, JobState.FAILED, FailureKind.INTERNAL_ERROR, message)
        session.flush()
        return None
