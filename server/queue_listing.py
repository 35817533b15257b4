"""The queue as its readers see it."""

from pydantic import AwareDatetime
from sqlmodel import Session, col, select

from core.schema.base import Message
from core.schema.job import JobState, Phase
from server.tables import Job, Run, SubmissionRow, Worker


class QueueEntry(Message):
    """A job that runs or waits."""

    job_id: str
    """Id of the job."""
    run_id: str
    """The run that it asks for."""
    submission_id: str
    """The submission that asked for the run."""
    name: str
    """The submission's name."""
    author: str
    """Its author."""
    track: str
    """Track name."""
    seed: int
    """Seed of the run."""
    state: JobState
    """`running` or `queued`."""
    attempt: int
    """Attempts begun."""
    worker: str | None
    """Name of the worker that has it."""
    phase: Phase | None
    """What it is doing, while it runs."""
    completed: int
    """Units of the phase that are done."""
    total: int
    """Units of the phase; 0 if unknown."""
    needs_cuda: bool
    """Whether only a worker with a CUDA device may take it."""
    created_at: AwareDatetime
    """When it was queued."""
    started_at: AwareDatetime | None
    """When its present attempt began."""


class Queue(Message):
    """All jobs that are not done."""

    running: tuple[QueueEntry, ...]
    """Jobs under lease."""
    queued: tuple[QueueEntry, ...]
    """Jobs that wait, the next one first."""


def list_queue(session: Session) -> Queue:
    """All jobs that run or wait, in order of position."""
    query = (
        select(Job, Run.seed, SubmissionRow, Worker.name)
        .join(Run, col(Run.id) == col(Job.run_id))
        .join(SubmissionRow, col(SubmissionRow.run_id) == col(Run.id))
        .outerjoin(Worker, col(Worker.id) == col(Job.worker_id))
        .where(col(Job.state).in_((JobState.RUNNING, JobState.QUEUED)))
        .order_by(col(Job.position), col(Job.id))
    )
    entries = [
        _entry(job, seed, submission, worker)
        for job, seed, submission, worker in session.exec(query)
    ]
    return Queue(
        running=tuple(entry for entry in entries if entry.state is JobState.RUNNING),
        queued=tuple(entry for entry in entries if entry.state is JobState.QUEUED),
    )


def _entry(job: Job, seed: int, submission: SubmissionRow, worker: str | None) -> QueueEntry:
    return QueueEntry(
        job_id=job.id,
        run_id=job.run_id,
        submission_id=submission.id,
        name=submission.name,
        author=submission.author,
        track=submission.track,
        seed=seed,
        state=job.state,
        attempt=job.attempt,
        worker=worker,
        phase=job.phase,
        completed=job.completed,
        total=job.total,
        needs_cuda=job.needs_cuda,
        created_at=job.created_at,
        started_at=job.started_at,
    )
