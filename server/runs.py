"""Reading a run: where it stands, and its metrics."""

from collections.abc import Mapping

from pydantic import ValidationError
from sqlmodel import Session, col, select

from core.schema.job import JobState, RunSpec, RunStatus
from core.schema.metric_point import MetricPoint
from core.schema.result import RunResult
from core.schema.track import Track
from server.errors import NotFound
from server.experiments import stored_config
from server.job_queue import jobs_ahead
from server.run_labels import run_labels
from server.run_log import SHOWN_LINES, log_tail
from server.run_specs import run_spec
from server.served_tracks import find_served_track
from server.tables import Experiment, Job, Metric, Run


def find_run(session: Session, run_id: str) -> Run:
    """The run of that id.

    Raises:
        NotFound: there is none.
    """
    run = session.get(Run, run_id)
    if run is None:
        raise NotFound(f"there is no run {run_id!r}; ids look like r_4k7m2q5xwp.")
    return run


def run_status(session: Session, run_id: str, base_url: str) -> RunStatus:
    """Where a run stands.

    A run that no submission asked for goes by the first of its experiment; where there is none,
    its `submission_id` is empty, and its page is the track's. A run that comes with the project
    has no job: it has succeeded.

    Raises:
        NotFound: there is none.
    """
    run = find_run(session, run_id)
    experiment = session.get_one(Experiment, run.experiment_hash)
    job = session.exec(select(Job).where(Job.run_id == run_id)).one_or_none()
    label = run_labels(session, [run])[run.id]
    submission_id = label.submission_id or ""
    page = f"submissions/{submission_id}" if submission_id else f"tracks/{experiment.track}"
    waiting = job is not None and job.state is JobState.QUEUED
    has_failed = job is not None and job.state is JobState.FAILED
    return RunStatus(
        run_id=run.id,
        submission_id=submission_id,
        name=label.name,
        track=experiment.track,
        seed=run.seed,
        state=job.state if job else JobState.SUCCEEDED,
        attempt=job.attempt if job else 0,
        jobs_ahead=jobs_ahead(session, job) if job and waiting else None,
        phase=job.phase if job else None,
        completed=job.completed if job else 0,
        total=job.total if job else 0,
        latest=_latest_metric(session, run_id),
        result=RunResult.model_validate(run.result) if run.result is not None else None,
        cost_usd=run.cost_usd,
        comparability_key=run.comparability_key,
        verification=run.verification if run.result is not None else None,
        failure=job.failure if job else None,
        failure_message=job.failure_message if job else "",
        failure_fault=job.failure.fault if job and job.failure else "",
        failure_advice=job.failure.advice if job and job.failure else "",
        last_lines=log_tail(session, run_id, SHOWN_LINES) if has_failed else (),
        created_at=run.created_at,
        url=f"{base_url}/{page}",
    )


def find_run_spec(session: Session, tracks: Mapping[str, Track], run_id: str) -> RunSpec:
    """What it takes to train a run again, whatever became of it.

    Raises:
        NotFound: there is no such run, or what it trained can no longer be trained here.
    """
    run = find_run(session, run_id)
    experiment = session.get_one(Experiment, run.experiment_hash)
    track = find_served_track(experiment.track, tracks)
    try:
        config = stored_config(experiment)
    except ValidationError as error:
        raise NotFound(
            f"the config of run {run_id} was accepted by an earlier version of the project, "
            "and this one cannot read it."
        ) from error
    return run_spec(run.id, run.seed, experiment.track_version, config, track)


def run_metrics(session: Session, run_id: str) -> tuple[MetricPoint, ...]:
    """All metric points of a run, in order of steps.

    Raises:
        NotFound: there is no such run.
    """
    find_run(session, run_id)
    rows = session.exec(
        select(Metric).where(Metric.run_id == run_id).order_by(col(Metric.step))
    ).all()
    return tuple(_point(row) for row in rows)


def _latest_metric(session: Session, run_id: str) -> MetricPoint | None:
    newest = select(Metric).where(Metric.run_id == run_id).order_by(col(Metric.step).desc())
    row = session.exec(newest.limit(1)).one_or_none()
    return _point(row) if row else None


def _point(row: Metric) -> MetricPoint:
    return MetricPoint.model_validate(row.model_dump(exclude={"run_id"}))
