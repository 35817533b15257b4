"""Workers: their registration, and the list of them."""

from pydantic import AwareDatetime
from sqlmodel import Session, col, select

from core.schema.base import Message
from core.schema.job import PROTOCOL_VERSION, JobState, WorkerHello
from server.canary.view import ControlChart, FreezeNote, control_charts, freeze_notes
from server.errors import ProtocolMismatch
from server.identifiers import new_id
from server.tables import Job, Worker, utc_now


class WorkerSummary(Message):
    """A worker and what it does."""

    worker_id: str
    """Id."""
    name: str
    """Name that its owner gave it."""
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
    run_ids: tuple[str, ...]
    """Runs that it has under lease."""
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


def list_workers(session: Session) -> tuple[WorkerSummary, ...]:
    """All workers that ever registered, the last seen first."""
    leased = select(Job.worker_id, Job.run_id).where(Job.state == JobState.RUNNING)
    runs: dict[str | None, list[str]] = {}
    for worker_id, run_id in session.exec(leased.order_by(col(Job.position))):
        runs.setdefault(worker_id, []).append(run_id)
    charts, freezes = control_charts(session), freeze_notes(session)
    workers = session.exec(select(Worker).order_by(col(Worker.last_seen_at).desc())).all()
    return tuple(
        WorkerSummary(
            worker_id=worker.id,
            run_ids=tuple(runs.get(worker.id, ())),
            canaries=charts.get(worker.id, ()),
            frozen=freezes.get(worker.id, ()),
            **worker.model_dump(exclude={"id"}),
        )
        for worker in workers
    )


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
