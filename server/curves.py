"""The curves of a submission: what its runs measured while they trained."""

from collections.abc import Mapping, Sequence

from sqlmodel import Session, col, select

from core.schema.base import Message
from core.schema.job import JobState
from server.curve_metrics import CurveMetric
from server.downsampling import Curve
from server.kept_curves import read_curves
from server.standing import RunStanding, experiment_runs
from server.tables import Metric, SubmissionRow

VAL_LOSS = CurveMetric.VAL_LOSS


class Series(Message):
    """One curve of one run; all tuples are equally long."""

    metric: CurveMetric
    """What it shows."""
    steps: tuple[int, ...]
    """Optimizer steps done."""
    tokens: tuple[int, ...]
    """Training tokens read so far."""
    train_seconds: tuple[float, ...]
    """Training time so far, in seconds."""
    values: tuple[float, ...]
    """The measured values."""


class RunCurves(Message):
    """The curves of one run."""

    run_id: str
    """Id."""
    seed: int
    """Seed."""
    state: JobState
    """Where the run stands."""
    comparability_key: str | None
    """Key of its result, once it has one."""
    series: tuple[Series, ...]
    """One of each metric that was measured."""


class SubmissionCurves(Message):
    """The curves of every run of a submission's experiment."""

    submission_id: str
    """Id."""
    name: str
    """The submission's name."""
    active: bool
    """Whether more points are to come."""
    runs: tuple[RunCurves, ...]
    """In order of their seeds."""


def submission_curves(session: Session, submission: SubmissionRow) -> SubmissionCurves:
    """The curves of a submission's experiment, each of at most 500 points."""
    standings = experiment_runs(session, submission.experiment_hash)
    curves = read_curves(session, [run.run_id for run in standings])
    return SubmissionCurves(
        submission_id=submission.id,
        name=submission.name,
        active=any(not run.state.is_final for run in standings),
        runs=tuple(
            _run_curves(run, curves[run.run_id]) for run in standings if run.run_id in curves
        ),
    )


def validation_losses(
    session: Session, run_ids: Sequence[str]
) -> dict[str, tuple[tuple[int, float], ...]]:
    """(step, validation loss) of each run that was validated, in order of steps, at most 500."""
    return {
        run_id: tuple(zip(curves[VAL_LOSS].steps, curves[VAL_LOSS].values, strict=True))
        for run_id, curves in read_curves(session, run_ids, (VAL_LOSS,)).items()
        if VAL_LOSS in curves
    }


def has_points(session: Session, run_ids: Sequence[str]) -> bool:
    """Whether any of the runs has reported a metric."""
    found = select(Metric.run_id).where(col(Metric.run_id).in_(run_ids)).limit(1)
    return session.exec(found).first() is not None


def _run_curves(run: RunStanding, curves: Mapping[CurveMetric, Curve]) -> RunCurves:
    return RunCurves(
        run_id=run.run_id,
        seed=run.seed,
        state=run.state,
        comparability_key=run.comparability_key,
        series=tuple(
            Series(
                metric=metric,
                steps=curves[metric].steps,
                tokens=curves[metric].tokens,
                train_seconds=curves[metric].train_seconds,
                values=curves[metric].values,
            )
            for metric in CurveMetric
            if metric in curves
        ),
    )
