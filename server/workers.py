"""Workers: their registration, and the list of them."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import AwareDatetime
from sqlalchemy import or_, update
from sqlmodel import Session, col, select

from core.estimate.memory import peak_memory
from core.schema.base import Message
from core.schema.job import PROTOCOL_VERSION, JobState, Phase, WorkerHello
from core.schema.telemetry import Telemetry
from core.schema.track import Track
from server.canary.view import ControlChart, FreezeNote, control_charts, freeze_notes
from server.errors import ProtocolMismatch
from server.identifiers import new_id
from server.run_labels import run_labels
from server.settings import ServerSettings
from server.tables import Experiment, Job, Run, Worker, utc_now
from server.waiting.fleet import Fleet, Needs

TELEMETRY_SECONDS = 30.0
"""How often a worker's telemetry is stored at most, whatever it sends while it waits for work."""


class WorkerState(StrEnum):
    """What a worker does, as far as the server hears of it."""

    WORKING = "working"
    IDLE = "idle"
    SILENT = "silent"
    """It has said nothing for as long as a lease lasts."""


class WorkerJob(Message):
    """A job that a worker has under lease."""

    run_id: str
    """Its run."""
    submission_id: str
    """The submission that it belongs to; empty for a baseline that nobody submitted."""
    name: str
    """Name of that submission."""
    track: str
    """Track name."""
    state: JobState
    """`running`."""
    phase: Phase | None
    """What it is doing."""
    completed: int
    """Units of the phase that are done."""
    total: int
    """Units of the phase; 0 if unknown."""


class WorkOffer(Message):
    """A track whose base config fits a worker, so that it is offered such jobs."""

    track: str
    """Track name."""
    price_usd_per_hour: float | None
    """The track's price for the worker's device; None if it has none."""


class WorkerSummary(Message):
    """A worker, what it does, and how it is."""

    worker_id: str
    """Id."""
    name: str
    """Name that its owner gave it."""
    state: WorkerState
    """Whether it works, waits for work, or is gone since it was last seen."""
    device: str
    """GPU model, or `cpu`."""
    has_cuda: bool
    """Whether it can run tracks that need a CUDA device."""
    memory_bytes: int
    """Memory of the device; 0 if unknown."""
    code_commit: str
    """Version of the project on the worker."""
    is_trusted: bool
    """Whether its results count for records by themselves."""
    first_seen_at: AwareDatetime
    """When it first registered."""
    last_seen_at: AwareDatetime
    """When it last said anything."""
    temperature_celsius: float | None
    """Temperature of its hottest GPU; None if it never told."""
    memory_used_bytes: int | None
    """Device memory in use; None if it never told."""
    memory_total_bytes: int | None
    """Device memory that there is, of all its GPUs; None if it never told."""
    driver: str
    """Version of the GPU's driver; empty if it never told."""
    telemetry_at: AwareDatetime | None
    """When it told these four, once a minute or so; None if never."""
    run_ids: tuple[str, ...]
    """Runs that it has under lease."""
    jobs: tuple[WorkerJob, ...]
    """The same, with where they stand."""
    offers: tuple[WorkOffer, ...]
    """Tracks whose jobs it is offered."""
    canaries: tuple[ControlChart, ...]
    """Its repetitions of the baseline, a chart for each track."""
    frozen: tuple[FreezeNote, ...]
    """Tracks on which nothing it measures counts at present, and why."""


def register(session: Session, hello: WorkerHello) -> Worker:
    """Store a worker; the same name is the same worker, whose device may have changed.

    Raises:
        ProtocolMismatch: the worker speaks another version of the protocol.
    """
    _check_protocol(hello.protocol_version)
    known = select(Worker).where(Worker.name == hello.name).with_for_update()
    worker = session.exec(known).one_or_none()
    if worker is None:
        values = hello.model_dump(exclude={"protocol_version"})
        worker = Worker.model_validate({"id": new_id("w"), **values})
        session.add(worker)
    worker.device, worker.has_cuda = hello.device, hello.has_cuda
    worker.memory_bytes, worker.code_commit = hello.memory_bytes, hello.code_commit
    worker.last_seen_at = utc_now()
    session.flush()
    return worker


def keep_telemetry(session: Session, worker_id: str, telemetry: Telemetry | None) -> bool:
    """Store how a worker's device is, unless that was stored within `TELEMETRY_SECONDS`.

    Returns:
        Whether it was stored.
    """
    if telemetry is None:
        return False
    now = utc_now()
    told_at = col(Worker.telemetry_at)
    is_due = or_(told_at.is_(None), told_at <= now - timedelta(seconds=TELEMETRY_SECONDS))
    due = update(Worker).where(col(Worker.id) == worker_id, is_due)
    stored = session.exec(due.values(**telemetry.model_dump(), telemetry_at=now))
    return stored.rowcount > 0


def list_workers(
    session: Session, tracks: Mapping[str, Track], settings: ServerSettings, now: datetime
) -> tuple[WorkerSummary, ...]:
    """All workers that ever registered, as of `now`, the last seen first."""
    silent_since = now - timedelta(seconds=settings.lease_seconds)
    jobs, fleet = _jobs(session), Fleet(session, tracks)
    charts, freezes = control_charts(session), freeze_notes(session)
    bases = [(track.rules, _base_needs(track)) for track in tracks.values()]
    workers = sorted(fleet.workers, key=lambda worker: worker.last_seen_at, reverse=True)
    return tuple(
        WorkerSummary(
            worker_id=worker.id,
            state=_state(worker, silent_since, has_job=worker.id in jobs),
            run_ids=tuple(job.run_id for job in jobs.get(worker.id, ())),
            jobs=jobs.get(worker.id, ()),
            offers=tuple(
                WorkOffer(
                    track=rules.name, price_usd_per_hour=rules.price_usd_per_hour(worker.device)
                )
                for rules, needs in bases
                if fleet.fits(worker, needs)
            ),
            canaries=charts.get(worker.id, ()),
            frozen=freezes.get(worker.id, ()),
            **worker.model_dump(exclude={"id"}),
        )
        for worker in workers
    )


def _state(worker: Worker, silent_since: datetime, has_job: bool) -> WorkerState:
    if worker.last_seen_at < silent_since:
        return WorkerState.SILENT
    return WorkerState.WORKING if has_job else WorkerState.IDLE


def _base_needs(track: Track) -> Needs:
    """What a run of a track's base config asks of its worker."""
    memory_bytes = int(peak_memory(track.base).total)
    return Needs(
        track.rules.name, track.rules.device == "cuda", memory_bytes, None, None, only_trusted=False
    )


def _jobs(session: Session) -> dict[str, tuple[WorkerJob, ...]]:
    """Jobs under lease, by the worker's id."""
    query = (
        select(Job, Run, Experiment.track)
        .join(Run, col(Run.id) == col(Job.run_id))
        .join(Experiment, col(Experiment.hash) == col(Run.experiment_hash))
        .where(Job.state == JobState.RUNNING)
        .order_by(col(Job.position))
    )
    rows = session.exec(query).all()
    labels = run_labels(session, [run for _, run, _ in rows])
    jobs: dict[str, tuple[WorkerJob, ...]] = {}
    for job, run, track in rows:
        label, worker_id = labels[run.id], str(job.worker_id)
        shown = WorkerJob(
            submission_id=label.submission_id or "",
            name=label.name,
            track=track,
            **job.model_dump(include={"run_id", "state", "phase", "completed", "total"}),
        )
        jobs[worker_id] = (*jobs.get(worker_id, ()), shown)
    return jobs


def _check_protocol(version: int) -> None:
    if version < PROTOCOL_VERSION:
        raise ProtocolMismatch(
            "worker_too_old",
            f"the worker speaks protocol {version}, this server {PROTOCOL_VERSION}; "
            "update the worker.",
        )
    if version > PROTOCOL_VERSION:
        raise ProtocolMismatch(
            "server_too_old",
            f"the worker speaks protocol {version}, this server {PROTOCOL_VERSION}; "
            "update the server, or use a worker of its release.",
        )
