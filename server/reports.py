"""Storing what workers report of a run: metrics, log and result, each once.

Workers send again whatever they are not sure has arrived, and an attempt that starts anew or
resumes repeats earlier steps; what was stored first stays.
"""

import logging
from collections.abc import Mapping

from sqlalchemy import bindparam
from sqlmodel import Session, col, select

from core.schema.job import FailureReport, JobState, LogChunk, MetricBatch, ResultReport
from core.schema.ledger import LedgerKind, digest
from core.schema.problem import Problem
from core.schema.result import RunResult
from core.schema.track import Track
from server.canary.drift import take_in
from server.canary.held import hold_if_frozen
from server.errors import InvalidReport
from server.lease import close, end_attempt, fail, has_ended, hold_or_ended, lock_job, renew
from server.ledger.entries import record
from server.metric_points import insert_points
from server.settings import ServerSettings
from server.tables import AttemptOutcome, Experiment, Job, LogPiece, Run, RunPurpose
from server.trust.verification import first_verification
from server.verdict.judging import judge_result, make_up_for

RUN_WITH_EXPERIMENT = (
    select(Run, Experiment)
    .join(Experiment, col(Experiment.hash) == col(Run.experiment_hash))
    .where(Run.id == bindparam("run_id"))
)

logger = logging.getLogger(__name__)


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


def store_result(
    session: Session,
    job_id: str,
    report: ResultReport,
    tracks: Mapping[str, Track],
    settings: ServerSettings,
) -> None:
    """End a run with its result, and take verdicts anew. A repetition changes nothing.

    Raises:
        NotFound, LeaseLost: as `server.lease.hold`.
        InvalidReport: the result is of another seed, or of other data than the track's.
    """
    job = lock_job(session, job_id)
    if has_ended(session, job, report.lease_token, AttemptOutcome.RESULT):
        return
    run, experiment = session.exec(RUN_WITH_EXPERIMENT, params={"run_id": job.run_id}).one()
    renew(session, job, report.lease_token, settings.lease_seconds)
    if report.result.seed != run.seed:
        message = f"{report.result.seed} is not the seed of run {run.id}; it is {run.seed}."
        raise InvalidReport([Problem(path="result.seed", message=message)])
    track = tracks.get(experiment.track)
    num_devices = _charged_devices(report.result, track)
    end_attempt(session, job, AttemptOutcome.RESULT, num_devices=num_devices)
    _require_expected(report.result, track)
    run.verification = first_verification(session, job)
    put_result(session, run, experiment, report.result, tracks)
    close(session, job, JobState.SUCCEEDED)
    if run.purpose is RunPurpose.CANARY:
        take_in(session, run, report.result, tracks, settings.queues_runs)
    else:
        hold_if_frozen(session, run, job)
        judge_result(session, run, tracks, settings.queues_runs)
        make_up_for(session, job, tracks, settings.queues_runs)
    logger.info("run succeeded", extra={"run_id": run.id, "job_id": job.id})


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


def _charged_devices(result: RunResult, track: Track | None) -> int | None:
    """GPUs that an author pays for, never more than the track allows; None if it is not served."""
    return min(result.provenance.num_devices, track.rules.max_devices) if track else None


def _require_expected(result: RunResult, track: Track | None) -> None:
    """Refuse a result on other data than the track's, unless it says that it is of a mirror."""
    expected = track.rules.expected_data if track else None
    if expected is None or result.provenance.is_mirror:
        return
    if different := result.provenance.data.other_parts(expected):
        message = f"is not the data of track {track.rules.name if track else ''}: {different} "
        message += "differ; a worker that reads a mirror must say so."
        raise InvalidReport([Problem(path="result.provenance.data", message=message)])


def put_result(
    session: Session,
    run: Run,
    experiment: Experiment,
    result: RunResult,
    tracks: Mapping[str, Track],
) -> None:
    """Fill a run's measured columns, and enter the result in the ledger.

    A canary gets no key: it is on no board.
    """
    data = result.provenance.data
    run.result = result.model_dump(mode="json")
    if run.purpose is not RunPurpose.CANARY:
        run.comparability_key = data.comparability_key(experiment.track, experiment.track_version)
    run.val_loss = result.val_loss
    run.cost_usd = cost_usd(result, tracks.get(experiment.track))
    session.add(run)
    contents = {"digest": digest(run.result), "key": run.comparability_key}
    record(session, LedgerKind.RESULT, run.id, contents)


def cost_usd(result: RunResult, track: Track | None) -> float | None:
    """Dollars for compile and training time; None if the track has no price for the device."""
    price = track.rules.price_usd_per_hour(result.provenance.device) if track else None
    return None if price is None else result.cost_usd(price)
