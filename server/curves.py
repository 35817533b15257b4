"""The curves of a submission: what its runs measured while they trained."""

from collections.abc import Sequence
from enum import StrEnum
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlmodel import Session, col, select

from core.schema.base import Message
from core.schema.job import JobState
from server.downsampling import kept_indices
from server.standing import RunStanding, experiment_runs
from server.tables import Metric, SubmissionRow


class CurveMetric(StrEnum):
    """What a curve can show."""

    TRAIN_LOSS = "train_loss"
    VAL_LOSS = "val_loss"
    VAL_ACCURACY = "val_accuracy"
    LEARNING_RATE = "learning_rate"
    ADAMW_LEARNING_RATE = "adamw_learning_rate"
    GRADIENT_NORM = "gradient_norm"
    TOKENS_PER_SECOND = "tokens_per_second"
    EXPERT_MAX_VIOLATION = "expert_max_violation"
    WORST_EXPERT_MAX_VIOLATION = "worst_expert_max_violation"
    IDLE_EXPERT_SHARE = "idle_expert_share"


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
    columns = _columns(session, [run.run_id for run in standings])
    return SubmissionCurves(
        submission_id=submission.id,
        name=submission.name,
        active=any(not run.state.is_final for run in standings),
        runs=tuple(
            _run_curves(run, *columns[run.run_id]) for run in standings if run.run_id in columns
        ),
    )


def validation_losses(
    session: Session, run_ids: Sequence[str]
) -> dict[str, tuple[tuple[int, float], ...]]:
    """(step, validation loss) of each run that was validated, in order of steps."""
    rows = session.exec(
        select(Metric.run_id, Metric.step, Metric.val_loss)
        .where(col(Metric.run_id).in_(run_ids))
        .where(col(Metric.val_loss).is_not(None))
        .order_by(col(Metric.run_id), col(Metric.step))
    )
    return {
        run_id: tuple((step, loss) for _, step, loss in group if loss is not None)
        for run_id, group in groupby(rows, key=itemgetter(0))
    }


def has_points(session: Session, run_ids: Sequence[str]) -> bool:
    """Whether any of the runs has reported a metric."""
    found = select(Metric.run_id).where(col(Metric.run_id).in_(run_ids)).limit(1)
    return session.exec(found).first() is not None


Columns = Sequence[tuple[Any, ...]]
"""Steps, tokens, training seconds, and one column for each member of `CurveMetric`."""


def _columns(session: Session, run_ids: Sequence[str]) -> dict[str, Columns]:
    """The metric points of each run that has any, in order of their steps, by column.

    A run may have tens of thousands of points, so they become no objects of their own.
    """
    measured = [getattr(Metric, metric) for metric in CurveMetric]
    rows = session.execute(
        select(Metric.run_id, Metric.step, Metric.tokens, Metric.train_seconds, *measured)
        .where(col(Metric.run_id).in_(run_ids))
        .order_by(col(Metric.run_id), col(Metric.step))
    )
    by_run = groupby(rows, key=itemgetter(0))
    return {run_id: list(zip(*group, strict=True))[1:] for run_id, group in by_run}


def _run_curves(
    run: RunStanding,
    steps: tuple[int, ...],
    tokens: tuple[int, ...],
    seconds: tuple[float, ...],
    *measured: tuple[Any, ...],
) -> RunCurves:
    series = (
        _series(metric, steps, tokens, seconds, values)
        for metric, values in zip(CurveMetric, measured, strict=True)
    )
    return RunCurves(
        run_id=run.run_id,
        seed=run.seed,
        state=run.state,
        comparability_key=run.comparability_key,
        series=tuple(one for one in series if one.steps),
    )


def _series(
    metric: CurveMetric,
    steps: tuple[int, ...],
    tokens: tuple[int, ...],
    seconds: tuple[float, ...],
    values: tuple[float | None, ...],
) -> Series:
    places = [place for place, value in enumerate(values) if value is not None]
    measured = [value for value in values if value is not None]
    kept = kept_indices(measured)
    return Series(
        metric=metric,
        steps=tuple(steps[places[i]] for i in kept),
        tokens=tuple(tokens[places[i]] for i in kept),
        train_seconds=tuple(seconds[places[i]] for i in kept),
        values=tuple(measured[i] for i in kept),
    )
