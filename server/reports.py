"""Storing what workers report of a run that goes on, each once, and how it failed.

Results have `server.results`. Workers send again whatever they are not sure has arrived, and an
attempt that starts anew or resumes repeats earlier steps; what was stored first stays.
"""

from collections.abc import Mapping

from sqlmodel import Session, col, select

from core.schema.job import FailureReport, LogChunk, MetricBatch
from core.schema.track import Track
from server.lease import fail, hold_or_ended
from server.metric_points import insert_points
from server.settings import ServerSettings
from server.tables import Job, LogPiece
from server.verdict.judging import make_up_for


def store_metrics(session: Session, job_id: str, batch: MetricBatch, lease_seconds: float) -> None:
    """Store the points of steps that have none.

    Raises:
        NotFound, LeaseLost: as `server.lease.hold`.
    """
    job = hold_or_ended(session, job_id, batch.lease_token, lease_seconds)
    insert_points(session, job.run_id, batch.points)


def store_log(session: Session, job_id: str, chunk: LogChunk, lease_seconds: float) -> None:
    """Store the part of a piece that reaches beyond what the attempt's log already has.

    Raises:
        NotFound, LeaseLost: as `server.lease.hold`.
    """
    job = hold_or_ended(session, job_id, chunk.lease_token, lease_seconds)
    pieces = select(LogPiece).where(LogPiece.run_id == job.run_id, LogPiece.attempt == job.attempt)
    last = session.exec(pieces.order_by(col(LogPiece.offset).desc()).limit(1)).one_or_none()
    end = last.offset + len(last.text) if last else 0
    offset = max(chunk.offset, end)
    text = chunk.text[offset - chunk.offset :]
    if text:
        row = {"run_id": job.run_id, "attempt": job.attempt, "offset": offset, "text": text}
        session.add(LogPiece.model_validate(row))


def store_failure(
    session: Session,
    job_id: str,
    report: FailureReport,
    tracks: Mapping[str, Track],
    settings: ServerSettings,
) -> None:
    """End an attempt by a failure; another seed makes up for a run that a verdict waits for.

    Raises:
        NotFound, LeaseLost: as `server.lease.hold`.
    """
    fail(session, job_id, report, settings.lease_seconds)
    job = session.get_one(Job, job_id)
    if job.state.is_final:
        make_up_for(session, job, tracks, settings.queues_runs)
