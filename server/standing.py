"""Where runs stand: the run, its queue entry and the worker that has it, read in one go."""

from bisect import bisect_left
from collections.abc import Collection, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

from pydantic import AwareDatetime
from sqlalchemy import func
from sqlmodel import Session, col, select

from core.schema.base import Message
from core.schema.job import JobState, Phase
from core.schema.result import FailureKind, RunResult, Verification
from server.claim_order import CLAIM_ORDER, Place, place, queued_places
from server.tables import Job, Priority, Run, RunPurpose, Worker

MAX_ACTIVE = 50
"""Running and queued runs that a board lists."""
MAX_ENDED = 50
"""Runs without a result that a board lists, the newest first."""


class RunStanding(Message):
    """Where one run stands, and what came out of it."""

    run_id: str
    """Id."""
    experiment_hash: str
    """What was, or will be, trained."""
    seed: int
    """Seed."""
    origin: str
    """`worker`, or `project` for a baseline run that comes with the project."""
    note: str
    """Machine and circumstances of a run that comes with the project."""
    purpose: RunPurpose
    """Why it was queued."""
    requested_by: str
    """The author who asked for it; empty where the server or the project did."""
    held_reason: str
    """Why verdicts leave its result out for now; empty where they do not."""
    state: JobState
    """State of the run's job."""
    attempt: int
    """Attempts begun."""
    jobs_ahead: int | None
    """Jobs before it, while it is queued."""
    phase: Phase | None
    """What it is doing, while it runs."""
    completed: int
    """Units of the phase that are done."""
    total: int
    """Units of the phase; 0 if unknown."""
    worker: str | None
    """Name of the worker that has it, or had it last."""
    failure: FailureKind | None
    """Class of the failure, if it failed."""
    failure_advice: str
    """What to do about the failure; empty without one."""
    failure_message: str
    """What happened."""
    comparability_key: str | None
    """Key of the result, once there is one."""
    verification: Verification | None
    """Whether the result counts for records, by whom it was measured; None without a result."""
    cost_usd: float | None
    """Compile and training time at the track's price."""
    result: RunResult | None
    """Outcome, once it succeeded."""
    created_at: AwareDatetime
    """When it was asked for."""
    started_at: AwareDatetime | None
    """When its last attempt began."""
    finished_at: AwareDatetime | None
    """When it ended."""


def experiment_runs(session: Session, experiment_hash: str) -> tuple[RunStanding, ...]:
    """Every run of an experiment, in order of seeds."""
    query = _runs().where(Run.experiment_hash == experiment_hash).order_by(col(Run.seed))
    return _standings(session, session.exec(query).all())


def runs_by_experiment(
    session: Session, experiment_hashes: Collection[str]
) -> dict[str, tuple[RunStanding, ...]]:
    """Every run of each experiment that has any, in order of seeds."""
    query = _runs().where(col(Run.experiment_hash).in_(experiment_hashes))
    query = query.order_by(col(Run.experiment_hash), col(Run.seed))
    runs = _standings(session, session.exec(query).all())
    by_experiment = groupby(runs, key=attrgetter("experiment_hash"))
    return {experiment_hash: tuple(group) for experiment_hash, group in by_experiment}


def active_runs(session: Session, track: str) -> tuple[RunStanding, ...]:
    """Runs of a track that are running or queued, in the order in which they will end up done.

    There are at most 50, so that a long queue makes no long board.
    """
    query = _runs().where(Job.track == track).order_by(*CLAIM_ORDER)
    rows: list[Any] = []
    for state in (JobState.RUNNING, JobState.QUEUED):
        # One state at a time, so that the queue is read no further than wanted.
        rows += session.exec(query.where(Job.state == state).limit(MAX_ACTIVE - len(rows)))
    return _standings(session, rows)


def count_active(session: Session, track: str) -> dict[JobState, int]:
    """How many runs of a track are running and queued."""
    states = (JobState.RUNNING, JobState.QUEUED)
    query = select(Job.state, func.count()).where(Job.track == track)
    query = query.where(col(Job.state).in_(states), Job.priority != Priority.CANARY)
    found = dict(session.exec(query.group_by(col(Job.state))).all())
    return {state: found.get(state, 0) for state in states}


def count_active_runs(session: Session, experiment_hashes: Collection[str]) -> dict[str, int]:
    """How many runs of each experiment are running or queued, of those that have any."""
    query = (
        select(Run.experiment_hash, func.count())
        .join(Job, col(Job.run_id) == col(Run.id))
        .where(col(Run.experiment_hash).in_(experiment_hashes))
        .where(col(Job.state).in_((JobState.RUNNING, JobState.QUEUED)))
        .where(Run.purpose != RunPurpose.CANARY)
        .group_by(col(Run.experiment_hash))
    )
    return dict(session.exec(query).all())


def ended_runs(session: Session, track: str) -> tuple[RunStanding, ...]:
    """Runs of a track that failed or were cancelled, the newest 50 first."""
    states = (JobState.FAILED, JobState.CANCELLED)
    query = _runs().where(Job.track == track).where(col(Job.state).in_(states))
    newest = func.coalesce(Job.finished_at, Job.created_at).desc()
    return _standings(session, session.exec(query.order_by(newest).limit(MAX_ENDED)).all())


def _runs() -> Any:
    """The query for every run.

    Canaries are left out: they say nothing of the experiment, and stand with their worker.
    """
    return (
        select(Run, Job, Worker.name)
        .outerjoin(Job, col(Job.run_id) == col(Run.id))
        .outerjoin(Worker, col(Worker.id) == col(Job.worker_id))
        .where(Run.purpose != RunPurpose.CANARY)
    )


def _standings(session: Session, rows: Sequence[Any]) -> tuple[RunStanding, ...]:
    waiting = [place(job) for _, job, _ in rows if job and job.state is JobState.QUEUED]
    queued = queued_places(session, max(waiting)) if waiting else ()
    return tuple(_standing(run, job, worker, queued) for run, job, worker in rows)


def _standing(
    run: Run, job: Job | None, worker: str | None, queued: Sequence[Place]
) -> RunStanding:
    """A run without a job is one that came with the project, with its result."""
    waiting = job is not None and job.state is JobState.QUEUED
    return RunStanding(
        run_id=run.id,
        experiment_hash=run.experiment_hash,
        seed=run.seed,
        origin=run.origin,
        note=run.note,
        purpose=run.purpose,
        requested_by=run.requested_by,
        held_reason=run.held_reason,
        state=job.state if job else JobState.SUCCEEDED,
        attempt=job.attempt if job else 0,
        jobs_ahead=bisect_left(queued, place(job)) if job and waiting else None,
        phase=job.phase if job else None,
        completed=job.completed if job else 0,
        total=job.total if job else 0,
        worker=worker,
        failure=job.failure if job else None,
        failure_advice=job.failure.advice if job and job.failure else "",
        failure_message=job.failure_message if job else "",
        comparability_key=run.comparability_key,
        verification=run.verification if run.result is not None else None,
        cost_usd=run.cost_usd,
        result=None if run.result is None else RunResult.model_validate(run.result),
        created_at=run.created_at,
        started_at=job.started_at if job else None,
        finished_at=run.finished_at or (job.finished_at if job else None),
    )
