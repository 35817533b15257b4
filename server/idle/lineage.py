"""Where a submission comes from, and what became of it on later versions of its track."""

from collections.abc import Iterator

from sqlmodel import Session, col, func, select

from core.schema.base import Message
from core.schema.experiment import ExperimentConfig
from core.schema.overrides import Change, differences
from core.schema.track import Track
from server.experiments import stored_config
from server.idle.tables import Rebase, RebaseOutcome
from server.tables import Experiment, Run, SubmissionRow
from server.verdict.board_losses import newest_losses
from server.verdict.judge import Verdict
from server.verdict.tables import JudgementRow

MAX_STEPS = 20
"""Steps of a chain that are shown, the latest ones."""


class Step(Message):
    """One submission of a chain, and what it changed."""

    submission_id: str
    """Id."""
    name: str
    """Name."""
    author: str
    """Author."""
    changes: tuple[Change, ...] | None
    """Against what it is built on, or the baseline; None where the baseline has moved since."""


class RebasedResult(Message):
    """What a submission came to on a later version of its track. Losses are in nats."""

    version: int
    """That version."""
    outcome: RebaseOutcome
    """What it resolved to."""
    reason: str
    """Why it is not valid there."""
    num_runs: int
    """Runs with a result, under the key of the newest."""
    val_loss: float | None
    """Their mean validation loss; None without one."""
    verdict: Verdict | None
    """The newest verdict against that version's baseline."""
    delta: float | None
    """Mean loss less the baseline's, of the runs that the verdict counts."""
    low: float | None
    """Lower end of the interval."""
    high: float | None
    """Upper end of the interval."""
    num_ended_runs: int
    """Runs that have ended, with a result or without one."""


def lineage(session: Session, submission: SubmissionRow, track: Track) -> tuple[Step, ...]:
    """The chain of submissions that end in this one, the first one first.

    Empty for one that is built on none.
    """
    if submission.built_on is None:
        return ()
    return tuple(_steps(session, submission, track))[::-1]


def rebased_results(session: Session, submission: SubmissionRow) -> tuple[RebasedResult, ...]:
    """What became of a submission on each later version, the latest first."""
    query = select(Rebase).where(Rebase.submission_id == submission.id)
    rows = session.exec(query.order_by(col(Rebase.to_version).desc()))
    return tuple(_result(session, row) for row in rows.all())


def _steps(session: Session, submission: SubmissionRow, track: Track) -> Iterator[Step]:
    """From the last step back."""
    row: SubmissionRow | None = submission
    for _ in range(MAX_STEPS):
        if row is None:
            return
        parent = session.get(SubmissionRow, row.built_on) if row.built_on else None
        yield Step(
            submission_id=row.id,
            name=row.name,
            author=row.author,
            changes=_changes(session, row, parent, track),
        )
        row = parent


def _changes(
    session: Session, row: SubmissionRow, parent: SubmissionRow | None, track: Track
) -> tuple[Change, ...] | None:
    experiment = session.get_one(Experiment, row.experiment_hash)
    before: ExperimentConfig = track.base
    if parent is not None:
        before = stored_config(session.get_one(Experiment, parent.experiment_hash))
    elif experiment.track_version != track.rules.version:
        return None
    return differences(before, stored_config(experiment))


def _result(session: Session, row: Rebase) -> RebasedResult:
    # The baseline has its own page, and what was withdrawn before was not measured.
    identity = (row.outcome is RebaseOutcome.EXPERIMENT and row.experiment_hash) or ""
    judgements = select(JudgementRow).where(JudgementRow.experiment_hash == identity)
    newest = judgements.order_by(col(JudgementRow.judged_at).desc()).limit(1)
    judgement = session.exec(newest).one_or_none()
    losses = newest_losses(session, identity)
    ended = select(func.count()).where(
        Run.experiment_hash == identity, col(Run.finished_at).is_not(None)
    )
    return RebasedResult(
        version=row.to_version,
        outcome=row.outcome,
        reason=row.reason,
        num_runs=len(losses),
        val_loss=sum(losses) / len(losses) if losses else None,
        verdict=Verdict(judgement.verdict) if judgement else None,
        delta=judgement.delta if judgement else None,
        low=judgement.low if judgement else None,
        high=judgement.high if judgement else None,
        num_ended_runs=session.exec(ended).one(),
    )
