"""What a worker may report while it holds a job's lease, and how an attempt ends.

A report counts if it carries the job's current lease token. Time only moves a job in
`server.expired_leases.requeue_expired`: until that has run, a late worker still has its job.
"""

import logging
from datetime import datetime, timedelta

from pydantic import JsonValue
from sqlalchemy import bindparam, update
from sqlalchemy import select as select_columns
from sqlmodel import Session, col, func, select

from core.schema.job import FailureReport, Heartbeat, JobState
from core.schema.ledger import LedgerKind
from core.schema.result import FailureKind
from server.errors import LeaseLost, NotFound
from server.lease_clock import lease_now
from server.ledger.entries import record
from server.quota.book import Charged, Ended, book
from server.quota.shares import used_minutes
from server.tables import Attempt, AttemptOutcome, Job, Run, Worker, table_of, utc_now

MAX_FAULTS = 3
"""Attempts that may end by the platform's fault before the run counts as failed."""

LOCKED_JOB = select(Job).where(Job.id == bindparam("job_id")).with_for_update()
ATTEMPT = table_of(Attempt)
OUTCOME_OF_LEASE = select_columns(ATTEMPT.c.outcome).where(
    ATTEMPT.c.job_id == bindparam("job_id"), ATTEMPT.c.lease_token == bindparam("lease_token")
)
ENDED_ATTEMPT = (
    update(ATTEMPT)
    .where(ATTEMPT.c.job_id == bindparam("ended_job"))
    .where(ATTEMPT.c.number == bindparam("ended_number"))
    .returning(ATTEMPT.c.started_at, ATTEMPT.c.num_devices)
)
SEEN_WORKER = update(table_of(Worker)).where(table_of(Worker).c.id == bindparam("worker_id"))

logger = logging.getLogger(__name__)


def lock_job(session: Session, job_id: str) -> Job:
    """The job, which no other transaction changes until this one ends.

    Raises:
        NotFound: there is none.
    """
    job = session.exec(LOCKED_JOB, params={"job_id": job_id}).one_or_none()
    if job is None:
        raise no_job(job_id)
    return job


def hold(session: Session, job_id: str, lease_token: str, lease_seconds: float) -> Job:
    """The running job of a lease, which is renewed.

    Raises:
        NotFound: there is no such job.
        LeaseLost: the token is not the current lease's.
    """
    job = lock_job(session, job_id)
    renew(session, job, lease_token, lease_seconds)
    return job


def renew(session: Session, job: Job, lease_token: str, lease_seconds: float) -> None:
    """Renew the lease of a job that was locked.

    Raises:
        LeaseLost: the token is not the current lease's.
    """
    if job.state is not JobState.RUNNING or job.lease_token != lease_token:
        raise lease_lost(job.id)
    job.lease_expires_at = lease_now() + timedelta(seconds=lease_seconds)
    seen = {"worker_id": job.worker_id, "last_seen_at": utc_now()}
    session.connection().execute(SEEN_WORKER, seen)


def lease_lost(job_id: str) -> LeaseLost:
    """What a worker is told whose lease is not the job's current one."""
    return LeaseLost(
        f"job {job_id} is no longer yours: its lease ended, or it was cancelled or finished. "
        "Stop this run; nothing of this report was stored."
    )


def no_job(job_id: str) -> NotFound:
    """What a worker is told whose job does not exist."""
    return NotFound(f"there is no job {job_id!r}.")


def hold_or_ended(session: Session, job_id: str, lease_token: str, lease_seconds: float) -> Job:
    """As `hold`, or the job that this lease brought to its end.

    The rest of a worker's spool may arrive after the outcome.
    """
    job = lock_job(session, job_id)
    if job.state.is_final and job.lease_token == lease_token:
        return job
    return hold(session, job_id, lease_token, lease_seconds)


def heartbeat(session: Session, job_id: str, report: Heartbeat, lease_seconds: float) -> bool:
    """Renew the lease, note progress and telemetry; whether the worker should stop the run."""
    job = hold(session, job_id, report.lease_token, lease_seconds)
    job.phase, job.completed, job.total = report.phase, report.completed, report.total
    if report.telemetry is not None:
        worker = session.get_one(Worker, job.worker_id)
        worker.sqlmodel_update(report.telemetry.model_dump())
        worker.telemetry_at = worker.last_seen_at
    return job.cancel_requested


def give_back(session: Session, job_id: str, lease_token: str, lease_seconds: float) -> None:
    """Queue an unfinished job again; it counts as nobody's fault. A repetition changes nothing."""
    job = lock_job(session, job_id)
    if has_ended(session, job_id, lease_token, AttemptOutcome.RETURNED):
        return
    renew(session, job, lease_token, lease_seconds)
    end_attempt(session, job, AttemptOutcome.RETURNED)
    if job.cancel_requested:
        close(session, job, JobState.CANCELLED, FailureKind.CANCELLED, "Cancelled while it ran.")
    else:
        _requeue(session, job)
    logger.info("job given back", extra={"job_id": job.id, "attempt": job.attempt})


def fail(session: Session, job_id: str, report: FailureReport, lease_seconds: float) -> None:
    """End an attempt by a failure; the platform's are retried. A repetition changes nothing."""
    job = lock_job(session, job_id)
    if has_ended(session, job_id, report.lease_token, AttemptOutcome.FAILURE):
        return
    renew(session, job, report.lease_token, lease_seconds)
    end_attempt(session, job, AttemptOutcome.FAILURE, report.kind, report.message)
    if report.kind.is_platform_fault:
        retry_or_fail(session, job, report.kind, report.message)
    else:
        cancelled = report.kind is FailureKind.CANCELLED
        state = JobState.CANCELLED if cancelled else JobState.FAILED
        close(session, job, state, report.kind, report.message)
    logger.info("attempt failed", extra={"job_id": job.id, "failure": report.kind.value})


def retry_or_fail(session: Session, job: Job, kind: FailureKind, message: str) -> None:
    """Queue a job whose attempt ended by the platform's fault again, or give it up."""
    query = select(func.count()).select_from(Attempt).where(Attempt.job_id == job.id)
    faults = session.exec(query.where(col(Attempt.failure).is_not(None))).one()
    if job.cancel_requested:
        close(session, job, JobState.CANCELLED, FailureKind.CANCELLED, "Cancelled while it ran.")
    elif faults >= MAX_FAULTS:
        close(session, job, JobState.FAILED, kind, f"{message} (attempt {faults} of {MAX_FAULTS})")
    else:
        _requeue(session, job)


def has_ended(session: Session, job_id: str, lease_token: str, outcome: AttemptOutcome) -> bool:
    """Whether this lease's attempt ended in this way, so that a report repeats an earlier one.

    The caller has locked the job, so that no other report ends it meanwhile.
    """
    lease = {"job_id": job_id, "lease_token": lease_token}
    ended = session.connection().execute(OUTCOME_OF_LEASE, lease).scalar_one_or_none()
    return ended is outcome


def end_attempt(
    session: Session,
    job: Job,
    outcome: AttemptOutcome,
    failure: FailureKind | None = None,
    message: str = "",
) -> None:
    """Note how the job's present attempt ended without a result, and charge it."""
    ended = Ended(utc_now(), outcome, failure, message)
    end_and_charge(session, job.id, job.attempt, ended, job.charged_to)


def end_and_charge(
    session: Session,
    job_id: str,
    number: int,
    ended: Ended,
    author: str,
    num_devices: int | None = None,
) -> None:
    """Note how an attempt ended, and charge it to its author; to nobody if that is empty.

    Args:
        num_devices: GPUs that its result tells of; None for those that it was claimed with.
    """
    which = {"ended_job": job_id, "ended_number": number}
    noted = session.connection().execute(ENDED_ATTEMPT, {**which, **ended._asdict()})
    began_at, claimed_devices = noted.one()
    if author:
        used = num_devices or claimed_devices
        book(session, Charged(author, job_id, number, ended.ended_at - began_at, used), ended)


def close(
    session: Session,
    job: Job,
    state: JobState,
    failure: FailureKind | None = None,
    message: str = "",
) -> None:
    """Bring a job and its run to their end. The token stays, to know a repeated report by."""
    now: datetime = utc_now()
    job.state, job.failure, job.failure_message = state, failure, message
    job.finished_at, job.lease_expires_at, job.phase = now, None, None
    session.get_one(Run, job.run_id).finished_at = now
    enter_state(session, job)


def enter_state(session: Session, job: Job) -> None:
    """Tell the ledger where a job stands now."""
    contents = state_contents(job.run_id, job.state, job.attempt, job.worker_id, job.failure)
    record(session, LedgerKind.JOB, job.id, contents)


def state_contents(
    run_id: str,
    state: JobState,
    attempt: int,
    worker_id: str | None,
    failure: FailureKind | None = None,
) -> dict[str, JsonValue]:
    """What the ledger tells of a job when its state changes."""
    return {
        "run": run_id,
        "state": state.value,
        "attempt": attempt,
        "worker": worker_id,
        "failure": failure.value if failure else None,
    }


def _requeue(session: Session, job: Job) -> None:
    """Back to the queue, at the place it had among what its author has asked for."""
    job.state, job.worker_id = JobState.QUEUED, None
    job.lease_token, job.lease_expires_at, job.started_at = None, None, None
    job.phase, job.completed, job.total = None, 0, 0
    job.author_gpu_minutes = used_minutes(session, job.charged_to, utc_now())
    enter_state(session, job)
