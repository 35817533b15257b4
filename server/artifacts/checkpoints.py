"""Which checkpoint a job has, and who may go on from it."""

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select

from core.schema.checkpoint import StoredCheckpoint
from core.schema.job import JobOffer, JobState
from server.artifacts.tables import CheckpointRow
from server.errors import NotFound
from server.lease import hold
from server.tables import Job, Worker, utc_now


@dataclass(frozen=True)
class StoredFile:
    """A checkpoint and where it is."""

    file_name: str
    """Its file in the store."""
    checkpoint: StoredCheckpoint
    """What it is."""


def keep_checkpoint(
    session: Session, job_id: str, lease_token: str, stored: StoredFile, lease_seconds: float
) -> str | None:
    """Let a file be the job's checkpoint; the name of the one that it replaces.

    Raises:
        NotFound, LeaseLost: as `server.lease.hold`.
    """
    job = hold(session, job_id, lease_token, lease_seconds)
    worker = session.get_one(Worker, job.worker_id)
    before = session.get(CheckpointRow, job_id)
    now: datetime = utc_now()
    values = {
        "job_id": job_id,
        "file_name": stored.file_name,
        **stored.checkpoint.model_dump(),
        "attempt": job.attempt,
        "device": worker.device,
        "code_commit": worker.code_commit,
        "stored_at": now,
    }
    replaced = before.file_name if before is not None else None
    session.merge(CheckpointRow.model_validate(values))
    session.flush()
    return replaced


def find_checkpoint(session: Session, job_id: str) -> StoredFile:
    """The job's checkpoint.

    Raises:
        NotFound: it has none.
    """
    row = session.get(CheckpointRow, job_id)
    if row is None:
        raise NotFound(f"job {job_id!r} has no checkpoint here.")
    return StoredFile(row.file_name, _stored(row))


def with_checkpoint(session: Session, offer: JobOffer, worker_id: str) -> JobOffer:
    """The offer, with what an earlier attempt left to go on from.

    Only the same code on the same model of device goes on to the result that it would have had.
    """
    row = session.get(CheckpointRow, offer.job_id) if offer.attempt > 1 else None
    if row is None:
        return offer
    worker = session.get_one(Worker, worker_id)
    if (row.device, row.code_commit) != (worker.device, worker.code_commit):
        return offer
    return offer.model_copy(update={"checkpoint": _stored(row)})


def files_in_use(session: Session) -> set[str]:
    """The files that are a job's checkpoint."""
    return set(session.exec(select(CheckpointRow.file_name)))


def checkpoints_of_ended_jobs(session: Session) -> dict[str, str]:
    """The files that nobody will go on from, by the ids of their jobs."""
    ended = [state for state in JobState if state.is_final]
    query = select(CheckpointRow.job_id, CheckpointRow.file_name)
    query = query.join(Job, col(Job.id) == col(CheckpointRow.job_id))
    return dict(session.exec(query.where(col(Job.state).in_(ended))).all())


def forget_checkpoint(session: Session, job_id: str) -> None:
    """Note that a job's checkpoint is gone."""
    row = session.get(CheckpointRow, job_id)
    if row is not None:
        session.delete(row)


def _stored(row: CheckpointRow) -> StoredCheckpoint:
    return StoredCheckpoint(step=row.step, num_bytes=row.num_bytes, sha256=row.sha256)
