"""The order in which jobs are claimed; everything that shows or follows it asks here."""

from sqlalchemy import ColumnElement, literal_column, tuple_
from sqlmodel import Session, col, select

from core.schema.job import JobState
from server.tables import Job, table_of

JOB = table_of(Job)
CLAIM_ORDER = (JOB.c.priority, JOB.c.author_gpu_minutes, JOB.c.position, JOB.c.id)
"""By priority; then those first whose authors used fewest GPU-minutes; then as they came. The
index `ix_job_claim_order` has it."""
IS_QUEUED = JOB.c.state == literal_column(f"'{JobState.QUEUED.value}'")
"""Whether a job waits. With a parameter for the state, SQLite would plan a statement anew each time
that it is sent, to see whether an index of queued jobs alone serves for this value."""

Place = tuple[int, int, int, str]
"""A job's values of these columns."""


def place(job: Job) -> Place:
    """Where a job stands."""
    return job.priority, job.author_gpu_minutes, job.position, job.id


def stands_before(job: Job) -> ColumnElement[bool]:
    """Whether a row is claimed before a job."""
    return tuple_(*CLAIM_ORDER) < place(job)


def queued_places(session: Session, last: Place) -> list[Place]:
    """Where queued jobs stand up to a place, in order, without those kept for one worker."""
    query = select(Job.priority, Job.author_gpu_minutes, Job.position, Job.id).where(
        Job.state == JobState.QUEUED, col(Job.only_worker_id).is_(None)
    )
    query = query.where(tuple_(*CLAIM_ORDER) <= last)
    return sorted(
        (rank, minutes, position, id_) for rank, minutes, position, id_ in session.exec(query)
    )
