"""Storing what a run measured: in one transaction all that must be there at once, or not at all.

That is the end of the job and its attempt, the run's measured columns, the charge, the entries of
the ledger, and a note that the result is not settled yet. `server.settlement` draws from it
whatever else follows. Nothing is loaded into objects: every statement changes one table.
"""

import logging
from collections.abc import Mapping
from typing import NamedTuple

from pydantic import JsonValue
from sqlalchemy import bindparam, select, update
from sqlmodel import Session

from core.schema.job import JobState, ResultReport
from core.schema.ledger import LedgerKind
from core.schema.problem import Problem
from core.schema.result import RunResult, Verification
from core.schema.track import Track
from server.canary.drift import take_in
from server.canary.frozen import freeze_reason
from server.errors import InvalidReport
from server.lease import end_and_charge, has_ended, lease_lost, no_job, state_contents
from server.ledger.entries import News, add_entries, take_turn
from server.measured import Measured
from server.quota.book import Ended
from server.settings import ServerSettings
from server.settlement.tables import UnsettledResult
from server.tables import (
    AttemptOutcome,
    Experiment,
    Job,
    Run,
    RunPurpose,
    Worker,
    table_of,
    utc_now,
)

JOB, RUN = table_of(Job), table_of(Run)
EXPERIMENT, WORKER = table_of(Experiment), table_of(Worker)
REPORTED_JOB = (
    select(
        JOB.c.id,
        JOB.c.state,
        JOB.c.lease_token,
        JOB.c.attempt,
        JOB.c.worker_id,
        JOB.c.charged_to,
        JOB.c.run_id,
        RUN.c.seed,
        RUN.c.purpose,
        EXPERIMENT.c.track,
        EXPERIMENT.c.track_version,
    )
    .join_from(JOB, RUN, RUN.c.id == JOB.c.run_id)
    .join(EXPERIMENT, EXPERIMENT.c.hash == RUN.c.experiment_hash)
    .where(JOB.c.id == bindparam("job_id"))
    .with_for_update(of=JOB)
)
SEEN_WORKER = (
    update(WORKER).where(WORKER.c.id == bindparam("seen_id")).returning(WORKER.c.is_trusted)
)
MEASURED_RUN = update(RUN).where(RUN.c.id == bindparam("measured_id"))
SUCCEEDED_JOB = update(JOB).where(JOB.c.id == bindparam("succeeded_id"))
SUCCEEDED = {
    "state": JobState.SUCCEEDED,
    "lease_expires_at": None,
    "phase": None,
    "failure": None,
    "failure_message": "",
}
"""What the end makes of a job; the token stays, to know a repeated report by."""
NOTED = table_of(UnsettledResult).insert()

logger = logging.getLogger(__name__)


class ReportedJob(NamedTuple):
    """The job of a result, locked, and the run that it is for."""

    id: str
    state: JobState
    lease_token: str | None
    attempt: int
    worker_id: str
    charged_to: str
    run_id: str
    seed: int
    purpose: RunPurpose
    track: str
    track_version: int


def store_result(
    session: Session,
    job_id: str,
    report: ResultReport,
    tracks: Mapping[str, Track],
    settings: ServerSettings,
) -> ReportedJob:
    """End a run with its result. A repetition changes nothing.

    Raises:
        NotFound, LeaseLost: as `server.lease.hold`.
        InvalidReport: the result is of another seed, or of other data than the track's.
    """
    # Before the first statement, which begins the transaction: others may write meanwhile.
    measured = Measured.of(report.result)
    found = session.connection().execute(REPORTED_JOB, {"job_id": job_id}).one_or_none()
    if found is None:
        raise no_job(job_id)
    job = ReportedJob._make(found)
    if job.state is not JobState.RUNNING or job.lease_token != report.lease_token:
        if has_ended(session, job_id, report.lease_token, AttemptOutcome.RESULT):
            return job
        raise lease_lost(job_id)
    track = tracks.get(job.track)
    _require_expected(measured.result, job, track)
    _end(session, job, measured, track)
    if job.purpose is RunPurpose.CANARY:
        run = session.get_one(Run, job.run_id)
        take_in(session, run, measured.result, tracks, settings.queues_runs)
    logger.info("run succeeded", extra={"run_id": job.run_id, "job_id": job.id})
    return job


def _end(session: Session, job: ReportedJob, measured: Measured, track: Track | None) -> None:
    """End the job, its attempt and the run, charge it, and tell the ledger."""
    connection, now = session.connection(), utc_now()
    seen = {"seen_id": job.worker_id, "last_seen_at": now}
    is_trusted = connection.execute(SEEN_WORKER, seen).scalar_one()
    ended = Ended(now, AttemptOutcome.RESULT)
    # Never more than the track allows; where it is not served, those of the claim.
    told = measured.result.provenance.num_devices
    num_devices = min(told, track.rules.max_devices) if track else None
    end_and_charge(session, job.id, job.attempt, ended, job.charged_to, num_devices)
    # Whoever freezes a worker, or thaws it, has the ledger's turn: no result slips through between.
    head = take_turn(session)
    is_canary = job.purpose is RunPurpose.CANARY
    held = "" if is_canary else freeze_reason(session, job.worker_id, job.track)
    columns = measured.columns(job.purpose, job.track, job.track_version, track)
    run = {
        "measured_id": job.run_id,
        "verification": Verification.TRUSTED if is_trusted else Verification.UNVERIFIED,
        "held_reason": held,
        "finished_at": now,
        **columns,
    }
    connection.execute(MEASURED_RUN, run)
    connection.execute(SUCCEEDED_JOB, {"succeeded_id": job.id, "finished_at": now, **SUCCEEDED})
    if not is_canary:
        connection.execute(NOTED, {"run_id": job.run_id})
    end = state_contents(job.run_id, JobState.SUCCEEDED, job.attempt, job.worker_id)
    news = [measured.news(job.run_id, columns), News(LedgerKind.JOB, job.id, end)]
    if held:
        why: dict[str, JsonValue] = {"state": "held", "track": job.track, "reason": held}
        why["runs"] = [job.run_id]
        news.append(News(LedgerKind.WORKER, job.worker_id, why))
    add_entries(session, head, news)


def _require_expected(result: RunResult, job: ReportedJob, track: Track | None) -> None:
    """Refuse another seed than the run's, and other data than the track's.

    A mirror says that its data are not the track's.
    """
    if result.seed != job.seed:
        message = f"{result.seed} is not the seed of run {job.run_id}; it is {job.seed}."
        raise InvalidReport([Problem(path="result.seed", message=message)])
    expected = track.rules.expected_data if track else None
    if expected is None or result.provenance.is_mirror:
        return
    if different := result.provenance.data.other_parts(expected):
        message = f"is not the data of track {job.track}: {different} "
        message += "differ; a worker that reads a mirror must say so."
        raise InvalidReport([Problem(path="result.provenance.data", message=message)])
