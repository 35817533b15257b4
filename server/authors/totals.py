"""What each author submitted and what came of it, in numbers."""

from collections.abc import Mapping
from typing import Any

from pydantic import AwareDatetime
from sqlalchemy import case, distinct, func
from sqlmodel import Session, col, select

from core.schema.base import Message
from server.authors.owners import owned_experiments
from server.memo import kept
from server.run_labels import PROJECT
from server.tables import Run, RunPurpose, SubmissionRow
from server.verdict.judge import Verdict
from server.verdict.tables import JudgementRow, RecordRow, Withdrawal

NOT_CHARGED = (RunPurpose.CANARY, RunPurpose.BASELINE)
"""What the board measures for itself."""


class AuthorTotals(Message):
    """An author in numbers. An experiment counts for whoever submitted it first."""

    name: str
    """Author name."""
    num_submissions: int
    """Submissions, equal and withdrawn ones too."""
    num_measured: int
    """Experiments with a result."""
    num_better: int
    """Experiments that are better than the baseline under some key, and not withdrawn."""
    num_records: int
    """Records that were set, those that were lost again too."""
    num_standing: int
    """Records that stand, or would if those after them were lost."""
    cost_usd: float | None
    """Compile and training time of all runs of their experiments at their tracks' prices; None if
    no run was priced."""
    latest_at: AwareDatetime
    """When the last submission came."""


def author_totals(session: Session) -> Mapping[str, AuthorTotals]:
    """Every author but the project itself, by name."""
    return kept(session, "author totals", _totals)


def _totals(session: Session) -> dict[str, AuthorTotals]:
    submitted = (
        select(SubmissionRow.author, func.count(), func.max(SubmissionRow.created_at))
        .where(SubmissionRow.author != PROJECT.author)
        .group_by(col(SubmissionRow.author))
    )
    measured, better, records = _measured(session), _better(session), _records(session)
    return {
        author: AuthorTotals(
            name=author,
            num_submissions=count,
            num_measured=measured.get(author, (0, None))[0],
            num_better=better.get(author, 0),
            num_records=records.get(author, (0, 0))[0],
            num_standing=records.get(author, (0, 0))[1],
            cost_usd=measured.get(author, (0, None))[1],
            latest_at=latest_at,
        )
        for author, count, latest_at in session.exec(submitted)
    }


def _measured(session: Session) -> dict[str, tuple[int, float | None]]:
    """Experiments with a result, and what all runs cost, by author."""
    owned = owned_experiments()
    with_result = case((col(Run.val_loss).is_not(None), Run.experiment_hash))
    query: Any = (
        select(owned.c.author, func.count(distinct(with_result)), func.sum(Run.cost_usd))
        .join(Run, col(Run.experiment_hash) == owned.c.experiment_hash)
        .where(col(Run.purpose).not_in(NOT_CHARGED))
        .group_by(owned.c.author)
    )
    return {author: (count, cost) for author, count, cost in session.exec(query)}


def _better(session: Session) -> dict[str, int]:
    owned = owned_experiments()
    query: Any = (
        select(owned.c.author, func.count(distinct(owned.c.experiment_hash)))
        .join(JudgementRow, col(JudgementRow.experiment_hash) == owned.c.experiment_hash)
        .outerjoin(Withdrawal, col(Withdrawal.submission_id) == owned.c.submission_id)
        .where(JudgementRow.verdict == Verdict.BETTER)
        .where(col(Withdrawal.submission_id).is_(None))
        .group_by(owned.c.author)
    )
    return dict(session.exec(query).all())


def _records(session: Session) -> dict[str, tuple[int, int]]:
    """Records that were set, and those that stand, by author."""
    owned = owned_experiments(select(RecordRow.experiment_hash))
    standing = func.count(case((col(RecordRow.lost_at).is_(None), 1)))
    query: Any = (
        select(owned.c.author, func.count(), standing)
        .join(RecordRow, col(RecordRow.experiment_hash) == owned.c.experiment_hash)
        .group_by(owned.c.author)
    )
    return {author: (count, left) for author, count, left in session.exec(query)}
