"""Taking a submission back: it no longer counts, and stays where everybody sees it."""

from sqlmodel import Session, col, select

from core.errors import InvalidInput
from core.schema.ledger import LedgerKind
from core.schema.problem import Problem
from core.schema.submission import WithdrawalRequest
from server.idle.names import named_experiments
from server.ledger.entries import record
from server.submissions import find_submission
from server.tables import SubmissionRow
from server.verdict.records import is_withdrawn, lose_record
from server.verdict.tables import RecordRow, Withdrawal


def withdraw(session: Session, submission_id: str, request: WithdrawalRequest) -> SubmissionRow:
    """Take a submission back. The same again changes nothing.

    Raises:
        NotFound: there is no such submission.
        InvalidInput: somebody else asks than its author, or it is the project's baseline.
    """
    submission = find_submission(session, submission_id)
    if request.author != submission.author or submission.author == "project":
        message = f"{request.author!r} is not the author of {submission_id}; only the author, "
        message += f"{submission.author!r}, may withdraw it."
        raise InvalidInput([Problem(path="author", message=message)])
    if session.get(Withdrawal, submission_id) is not None:
        return submission
    row = {
        "submission_id": submission_id,
        "reason": request.reason,
        "requested_by": request.author,
    }
    session.add(Withdrawal.model_validate(row))
    session.flush()
    contents = {"reason": request.reason, "by": request.author}
    record(session, LedgerKind.WITHDRAWAL, submission_id, contents)
    named = named_experiments()
    behind = select(named.c.experiment_hash).where(named.c.submission_id == submission_id)
    for experiment_hash in session.exec(behind).all():
        if is_withdrawn(session, experiment_hash):
            _lose_records(session, experiment_hash, request.reason)
    return submission


def _lose_records(session: Session, experiment_hash: str, reason: str) -> None:
    held = select(RecordRow).where(
        RecordRow.experiment_hash == experiment_hash, col(RecordRow.lost_at).is_(None)
    )
    for row in session.exec(held).all():
        lose_record(session, row, f"Withdrawn: {reason}")
