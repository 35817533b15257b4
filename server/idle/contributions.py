"""What each setting of an experiment contributes, by its leave-one-out ablations."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from statistics import fmean

from sqlmodel import Session, col, select

from core.schema.base import Message
from core.schema.job import JobState
from server.board.kept_standings import standings
from server.formatting import words
from server.idle.tables import Ablation, Rebase, RebaseOutcome
from server.tables import Experiment, Job, Run, SubmissionRow
from server.verdict.board_losses import losses_by_experiment
from server.verdict.judge import Judgement, Verdict, judge_pair
from server.verdict.noise import Noise


class Effect(StrEnum):
    """What a setting does to the loss, beside the others."""

    HELPS = "helps"
    HURTS = "hurts"
    UNKNOWN = "not yet known"


EFFECTS = {
    Verdict.WORSE: Effect.HELPS,
    Verdict.BETTER: Effect.HURTS,
    Verdict.UNRESOLVED: Effect.UNKNOWN,
}
"""The verdict of the experiment without a setting, and what that says of the setting."""


class Contribution(Message):
    """One setting: the loss without it, less the loss with all. Losses are in nats."""

    path: str
    """The setting, dotted."""
    effect: Effect
    """Helps or hurts if the interval leaves out zero."""
    delta: float | None
    """Positive if the setting helps; None while the experiment without it has no result."""
    low: float | None
    """Lower end of the interval."""
    high: float | None
    """Upper end of the interval."""
    num_runs: int
    """Runs without the setting that were counted."""
    note: str
    """Why there is no difference; empty where there is one."""


class Contributions(Message):
    """An experiment that was taken apart."""

    track_version: int
    """Version of the track that it is of."""
    key: str | None
    """Comparability key of the losses; None without a result."""
    num_runs: int
    """Runs with all settings."""
    settings: tuple[Contribution, ...]
    """In the order of their names."""


def submission_contributions(
    session: Session, submission: SubmissionRow
) -> tuple[Contributions, ...]:
    """Those of a submission's experiment, and of what it was rebased onto; the latest first."""
    rebased = select(Rebase.experiment_hash).where(
        Rebase.submission_id == submission.id, Rebase.outcome == RebaseOutcome.EXPERIMENT
    )
    own = col(Experiment.hash) == submission.experiment_hash
    query = select(Experiment).where(own | col(Experiment.hash).in_(rebased))
    experiments = session.exec(query.order_by(col(Experiment.track_version).desc())).all()
    found = (contributions(session, experiment) for experiment in experiments)
    return tuple(one for one in found if one is not None)


def contributions(session: Session, experiment: Experiment) -> Contributions | None:
    """What each setting contributes; None for an experiment that was not taken apart."""
    query = select(Ablation).where(Ablation.experiment_hash == experiment.hash)
    rows = session.exec(query.order_by(col(Ablation.path))).all()
    if not rows:
        return None
    variants = [row.variant_hash for row in rows if row.variant_hash]
    key = _key(session, experiment.hash, variants)
    losses = losses_by_experiment(session, key, {experiment.hash, *variants}) if key else {}
    whole = losses.get(experiment.hash, [])
    noise = standings(session, key).noise if key else None
    waiting = _waiting(session, variants)
    return Contributions(
        track_version=experiment.track_version,
        key=key,
        num_runs=len(whole),
        settings=tuple(
            _contribution(row, losses.get(row.variant_hash or "", []), whole, noise, waiting)
            for row in rows
        ),
    )


def _contribution(
    row: Ablation,
    without: Sequence[float],
    whole: Sequence[float],
    noise: Noise | None,
    waiting: Mapping[str, str],
) -> Contribution:
    judgement = judge_pair(without, whole, noise)
    note = ""
    if row.variant_hash is None:
        note = f"It goes only together with others. {row.reason}"
    elif not without:
        note = waiting[row.variant_hash]
    return Contribution(
        path=row.path,
        effect=EFFECTS[judgement.verdict] if judgement else Effect.UNKNOWN,
        delta=_delta(judgement, without, whole),
        low=judgement.low if judgement else None,
        high=judgement.high if judgement else None,
        num_runs=judgement.num_runs if judgement else len(without),
        note=note,
    )


def _delta(
    judgement: Judgement | None, without: Sequence[float], whole: Sequence[float]
) -> float | None:
    """Without a judgement, as on a board whose noise nobody knows, the plain difference."""
    if judgement is not None:
        return judgement.delta
    return fmean(without) - fmean(whole) if without and whole else None


def _key(session: Session, identity: str, variants: Sequence[str]) -> str | None:
    """The experiment's newest key that a variant has too, or else its newest."""
    query = (
        select(Run.experiment_hash, Run.comparability_key)
        .where(col(Run.experiment_hash).in_([identity, *variants]))
        .where(col(Run.val_loss).is_not(None))
        .order_by(col(Run.finished_at).desc())
    )
    found = session.exec(query).all()
    own = [key for experiment, key in found if experiment == identity and key]
    theirs = {key for experiment, key in found if experiment != identity}
    return next((key for key in own if key in theirs), own[0] if own else None)


def _waiting(session: Session, variants: Sequence[str]) -> dict[str, str]:
    """Why a variant without a result under the key has none, by its newest run."""
    query = (
        select(Run, Job)
        .outerjoin(Job, col(Job.run_id) == col(Run.id))
        .where(col(Run.experiment_hash).in_(variants))
        .order_by(col(Run.created_at))
    )
    return {run.experiment_hash: _reason(run, job) for run, job in session.exec(query)}


def _reason(run: Run, job: Job | None) -> str:
    if run.held_reason:
        return f"The result without it does not count: {run.held_reason}"
    if job is None or job.state is JobState.SUCCEEDED:
        return "It was run without it under another comparability key only."
    if job.state is JobState.QUEUED:
        return "The run without it waits for an idle worker."
    if job.state is JobState.RUNNING:
        return "The run without it is under way."
    failure = words(job.failure.value) if job.failure else job.state.value
    return f"The run without it ended without a result: {failure}."
