"""Taking jobs back from workers that fell silent; what a verdict waits for is made up for."""

import logging
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import bindparam, func
from sqlalchemy import select as select_columns
from sqlmodel import Session, col, select

from core.schema.job import JobState
from core.schema.result import FailureKind
from core.schema.track import Track
from server.lease import end_attempt, retry_or_fail
from server.tables import AttemptOutcome, Job, UtcDateTime, table_of
from server.verdict.judging import make_up_for

JOB = table_of(Job)
ANY_EXPIRED = select_columns(func.min(JOB.c.lease_expires_at)).scalar_subquery() < bindparam(
    "now", type_=UtcDateTime
)
"""Whether `requeue_expired` has anything to do: one look into an index. Null without a lease."""

logger = logging.getLogger(__name__)


def requeue_expired(
    session: Session, now: datetime, tracks: Mapping[str, Track], queues_runs: bool
) -> int:
    """End every attempt whose lease ended before `now`; how many there were.

    Args:
        queues_runs: whether another seed makes up for a run that a verdict waits for, once its
            last attempt is lost.
    """
    expired = select(Job).where(Job.state == JobState.RUNNING, col(Job.lease_expires_at) < now)
    jobs = session.exec(expired.with_for_update(skip_locked=True)).all()
    for job in jobs:
        message = "The worker stopped answering."
        lost = FailureKind.WORKER_LOST
        end_attempt(session, job, AttemptOutcome.LEASE_EXPIRED, lost, message)
        # A late report must not pass for one of the attempt that ended.
        job.lease_token = None
        retry_or_fail(session, job, lost, message)
        logger.warning(
            "lease expired", extra={"job_id": job.id, "attempt": job.attempt, "state": job.state}
        )
    session.flush()
    for job in jobs:
        if job.state.is_final:
            make_up_for(session, job, tracks, queues_runs)
    return len(jobs)
