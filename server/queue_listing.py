"""The queue as its readers see it."""

from pydantic import AwareDatetime
from sqlmodel import Session, col, func, select

from core.schema.base import Message
from core.schema.job import JobState, Phase
from server.job_choice import QUEUE_ORDER
from server.run_labels import Label, run_labels
from server.tables import Experiment, Job, Run, RunPurpose, Worker


class QueueEntry(Message):
    """A job that runs or waits."""

    job_id: str
    """Id of the job."""
    run_id: str
    """The run that it asks for."""
    purpose: RunPurpose
    """Why it was queued."""
    submission_id: str
    """The submission that asked for the run, or else the first of its experiment; empty for a
    baseline that nobody submitted."""
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
    """Name of the worker that has it, or, while it waits, of the only one that may have it."""
    phase: Phase | None
    """What it is doing, while it runs."""
    completed: int
    """Units of the phase that are done."""
    total: int
    """Units of the phase; 0 if unknown."""
    needs_cuda: bool
    """Whether only a worker with a CUDA device may take it."""
    only_key: str | None
    """The comparability key that waits for it, so that no worker of other data may take it; None
    for any."""
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
    """All jobs that run or wait, in the order in which they are claimed."""
    query = (
        select(Job, Run, Experiment, Worker.name)
        .join(Run, col(Run.id) == col(Job.run_id))
        .join(Experiment, col(Experiment.hash) == col(Run.experiment_hash))
        .outerjoin(Worker, col(Worker.id) == func.coalesce(Job.worker_id, Job.only_worker_id))
        .where(col(Job.state).in_((JobState.RUNNING, JobState.QUEUED)))
        .order_by(*QUEUE_ORDER)
    )
    rows = session.exec(query).all()
    labels = run_labels(session, [run for _, run, _, _ in rows])
    entries = [
        _entry(job, run, experiment, labels[run.id], worker)
        for job, run, experiment, worker in rows
    ]
    return Queue(
        running=tuple(entry for entry in entries if entry.state is JobState.RUNNING),
        queued=tuple(entry for entry in entries if entry.state is JobState.QUEUED),
    )


def _entry(
    job: Job, run: Run, experiment: Experiment, label: Label, worker: str | None
) -> QueueEntry:
    return QueueEntry(
        job_id=job.id,
        run_id=job.run_id,
        purpose=run.purpose,
        submission_id=label.submission_id or "",
        name=label.name,
        author=label.author,
        track=experiment.track,
        seed=run.seed,
        state=job.state,
        attempt=job.attempt,
        worker=worker,
        phase=job.phase,
        completed=job.completed,
        total=job.total,
        needs_cuda=job.needs_cuda,
        only_key=job.only_key,
        created_at=job.created_at,
        started_at=job.started_at,
    )
