"""Taking a submission back: it no longer counts, and stays where everybody sees it."""

from collections.abc import Mapping

from sqlmodel import Session, select

from core.errors import InvalidInput
from core.schema.ledger import LedgerKind
from core.schema.problem import Problem
from core.schema.submission import WithdrawalRequest
from core.schema.track import Track
from server.board.entries import refresh_experiment
from server.idle.names import named_experiments
from server.ledger.entries import record
from server.submissions import find_submission
from server.tables import Experiment, SubmissionRow
from server.verdict.judging import judge_board
from server.verdict.records import is_withdrawn, lose_record, open_records
from server.verdict.tables import Withdrawal


def withdraw(
    session: Session, tracks: Mapping[str, Track], submission_id: str, request: WithdrawalRequest
) -> SubmissionRow:
    """Take a submission back. The same again changes nothing.

    A record that it held goes to whoever comes next.

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
            _lose_records(session, tracks, experiment_hash, request.reason)
        if submission.track in tracks:
            refresh_experiment(session, tracks[submission.track], experiment_hash)
    return submission


def _lose_records(
    session: Session, tracks: Mapping[str, Track], experiment_hash: str, reason: str
) -> None:
    experiment = session.get_one(Experiment, experiment_hash)
    track = tracks.get(experiment.track)
    lost = open_records(session, experiment_hash)
    for row in lost:
        lose_record(session, row, f"Withdrawn: {reason}")
    if track is not None and track.rules.version == experiment.track_version:
        for key in sorted({row.comparability_key for row in lost}):
            judge_board(session, track, key, queues_runs=False)
