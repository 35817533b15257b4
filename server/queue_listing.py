"""The queue as its readers see it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import AwareDatetime
from sqlmodel import Session, col, func, select

from core.schema.base import Message
from core.schema.forecast import Forecast
from core.schema.job import JobState, Phase
from core.schema.track import Track
from server.claim_order import CLAIM_ORDER
from server.run_labels import PROJECT, Label, known_labels
from server.settings import ServerSettings
from server.tables import Job, Run, RunPurpose, Worker
from server.waiting.alarm import QueueAlarm, queue_alarm
from server.waiting.forecast import Forecaster

PER_PAGE = 50
"""Waiting jobs on a page."""


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
    only_trusted: bool
    """Whether only a trusted worker may take it."""
    forecast: Forecast
    """When it should start and end."""
    created_at: AwareDatetime
    """When it was queued."""
    started_at: AwareDatetime | None
    """When its present attempt began."""


class Queue(Message):
    """Jobs that are not done, with a page of those that wait."""

    running: tuple[QueueEntry, ...]
    """Jobs under lease, all of them."""
    queued: tuple[QueueEntry, ...]
    """A page of the jobs that wait, the next one first; none on a page past the end."""
    num_queued: int
    """Jobs that wait, on all pages."""
    page: int
    """From 1."""
    has_next: bool
    """Whether more jobs wait on the next page."""
    alarm: QueueAlarm | None
    """That jobs wait for workers that are not there; None while that is not so."""


def list_queue(
    session: Session,
    tracks: Mapping[str, Track],
    settings: ServerSettings,
    now: datetime,
    page: int = 1,
) -> Queue:
    """Jobs that run and a page of those that wait, in the order of claims, as of `now`."""
    start = (page - 1) * PER_PAGE
    running = _rows(session, JobState.RUNNING)
    queued = _rows(session, JobState.QUEUED, start, PER_PAGE)
    asked = [run_hash for _, run_hash, *_ in (*running, *queued)]
    labels = known_labels(session, list(dict.fromkeys(asked)))
    forecaster = Forecaster(session, tracks, settings, now)
    forecasts = forecaster.of_queued([job for job, *_ in queued], start)
    count = select(func.count()).select_from(Job).where(Job.state == JobState.QUEUED)
    num_queued = session.exec(count).one()
    return Queue(
        running=tuple(_entry(row, labels, forecaster.of_running(row[0])) for row in running),
        queued=tuple(_entry(row, labels, forecasts[row[0].id]) for row in queued),
        num_queued=num_queued,
        page=page,
        has_next=start + PER_PAGE < num_queued,
        alarm=queue_alarm(session, tracks, settings, now),
    )


_Row = tuple[Job, str, RunPurpose, int, str | None]
"""A job, its experiment, purpose and seed, and the name of its worker."""


def _rows(
    session: Session, state: JobState, start: int = 0, limit: int | None = None
) -> Sequence[_Row]:
    query: Any = (
        select(  # type: ignore[call-overload]
            Job, Run.experiment_hash, Run.purpose, Run.seed, Worker.name
        )
        .join(Run, col(Run.id) == col(Job.run_id))
        .outerjoin(Worker, col(Worker.id) == func.coalesce(Job.worker_id, Job.only_worker_id))
        .where(Job.state == state)
        .order_by(*CLAIM_ORDER)
        .offset(start)
        .limit(limit)
    )
    found: Sequence[_Row] = session.exec(query).all()
    return found


def _entry(row: _Row, labels: Mapping[str, Label], forecast: Forecast) -> QueueEntry:
    job, identity, purpose, seed, worker = row
    label = labels.get(job.run_id) or labels.get(identity, PROJECT)
    return QueueEntry(
        job_id=job.id,
        run_id=job.run_id,
        purpose=purpose,
        submission_id=label.submission_id or "",
        name=label.name,
        author=label.author,
        track=job.track,
        seed=seed,
        state=job.state,
        attempt=job.attempt,
        worker=worker,
        phase=job.phase,
        completed=job.completed,
        total=job.total,
        needs_cuda=job.needs_cuda,
        only_key=job.only_key,
        only_trusted=job.only_trusted,
        forecast=forecast,
        created_at=job.created_at,
        started_at=job.started_at,
    )
