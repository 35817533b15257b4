"""When a worker gets a canary: before a job of a track, on a schedule and after a change."""

from collections.abc import Mapping
from datetime import timedelta

from sqlmodel import Session, col, func, select

from core.estimate.memory import peak_memory
from core.schema.job import JobOffer
from core.schema.result import RunResult
from core.schema.track import Track
from server import job_queue
from server.canary.freezes import ask_again
from server.canary.runs import ask_for_canary
from server.canary.setup import setup_of
from server.canary.tables import CanaryRow
from server.expired_leases import requeue_expired
from server.lease_clock import lease_now
from server.outdated_jobs import cancel_outdated
from server.settings import ServerSettings
from server.tables import Experiment, Job, Run, RunPurpose, Worker, utc_now

RUNS_PER_CANARY = 4
"""Results of a worker on a track before a canary is due again, so that canaries take no more than
a fifth of its time."""


def claim(
    session: Session,
    worker_id: str,
    tracks: Mapping[str, Track],
    settings: ServerSettings,
    lease_token: str | None = None,
) -> JobOffer | None:
    """Lease a worker its next job, or the canary that is due before it.

    Jobs of silent workers come back first, and what is no longer to be run leaves the queue.

    Raises:
        NotFound: the worker is not registered.
    """
    worker = session.get(Worker, worker_id, with_for_update=True)
    if worker is not None:
        requeue_expired(session, lease_now(), tracks, settings.queues_runs)
        cancel_outdated(session, tracks)
        ask_again(session, worker, tracks)
        job = job_queue.next_job(session, worker, tracks)
        if job is not None and job.only_worker_id is None:
            run = session.get_one(Run, job.run_id)
            track = tracks[session.get_one(Experiment, run.experiment_hash).track]
            if settings.canary_hours and _is_due(session, worker, track, settings.canary_hours):
                ask_for_canary(session, worker, track)
    return job_queue.claim(session, worker_id, tracks, settings.lease_seconds, lease_token)


def _is_due(session: Session, worker: Worker, track: Track, hours: float) -> bool:
    """Whether a worker should repeat a track's baseline before it goes on.

    A worker whose memory the baseline does not fit never is asked.
    """
    if worker.memory_bytes and peak_memory(track.base).total > worker.memory_bytes:
        return False
    last = _last_canary(session, worker.id, track.rules.name)
    if last is not None and _has_changed(session, worker, last):
        return True
    if last is not None and utc_now() - last.asked_at < timedelta(hours=hours):
        return False
    return _num_results_since(session, worker.id, track.rules.name, last) >= RUNS_PER_CANARY


def _last_canary(session: Session, worker_id: str, track: str) -> CanaryRow | None:
    """The newest canary; one that ended without a result is not repeated at once either."""
    query = select(CanaryRow).where(CanaryRow.worker_id == worker_id, CanaryRow.track == track)
    query = query.where(col(CanaryRow.freeze_id).is_(None))
    return session.exec(query.order_by(col(CanaryRow.asked_at).desc()).limit(1)).one_or_none()


def _has_changed(session: Session, worker: Worker, last: CanaryRow) -> bool:
    """Whether the worker has another device, driver or PyTorch than its last canary had."""
    if worker.device != last.device:
        return True
    query = select(Run.result).join(Job, col(Job.run_id) == col(Run.id))
    query = query.where(Job.worker_id == worker.id, Run.purpose != RunPurpose.CANARY)
    query = query.where(col(Run.val_loss).is_not(None), col(Run.finished_at) > last.asked_at)
    newest = session.exec(query.order_by(col(Run.finished_at).desc()).limit(1)).one_or_none()
    if newest is None or not last.setup:
        return False
    return setup_of(RunResult.model_validate(newest)) != last.setup


def _num_results_since(session: Session, worker_id: str, track: str, last: CanaryRow | None) -> int:
    query = (
        select(func.count())
        .select_from(Run)
        .join(Job, col(Job.run_id) == col(Run.id))
        .join(Experiment, col(Experiment.hash) == col(Run.experiment_hash))
        .where(Job.worker_id == worker_id, Experiment.track == track)
        .where(Run.purpose != RunPurpose.CANARY, col(Run.val_loss).is_not(None))
    )
    if last is not None:
        query = query.where(col(Run.finished_at) > last.asked_at)
    return session.exec(query).one()
