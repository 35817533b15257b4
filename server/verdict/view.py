"""What is said of each experiment of a board, as its readers see it."""

from collections.abc import Collection, Mapping

from pydantic import AwareDatetime
from sqlalchemy import bindparam
from sqlmodel import Session, col, select

from core.schema.base import Message
from server.idle.names import ASKED, named_experiments
from server.idle.tables import Rebase
from server.tables import SubmissionRow
from server.verdict.board_losses import newest_key
from server.verdict.judge import MIN_BASELINE_RUNS, Verdict
from server.verdict.looks import next_look
from server.verdict.records import standing_record, stored_judgement
from server.verdict.tables import JudgementRow, Withdrawal

_NAMED = named_experiments(ASKED)
WITHDRAWN_OR_NOT = (
    select(_NAMED.c.experiment_hash, Withdrawal)
    .outerjoin(Withdrawal, col(Withdrawal.submission_id) == _NAMED.c.submission_id)
    .order_by(col(Withdrawal.created_at))
)
"""Each submission behind the experiments asked for, by its experiment, and its withdrawal."""
JUDGED = (
    select(JudgementRow)
    .where(JudgementRow.comparability_key == bindparam("key"))
    .where(col(JudgementRow.experiment_hash).in_(ASKED))
)


class WithdrawnNote(Message):
    """That an author took a submission back."""

    reason: str
    """Why."""
    requested_by: str
    """Who."""
    at: AwareDatetime
    """When."""


class ExperimentVerdict(Message):
    """What the runs of an experiment say against the baseline. Losses are in nats."""

    verdict: Verdict
    """Better or worse if the interval leaves out zero."""
    delta: float
    """Mean loss of the runs counted, less that of the baseline."""
    low: float
    """Lower end of the interval."""
    high: float
    """Upper end of the interval."""
    num_runs: int
    """Runs counted."""
    num_baseline_runs: int
    """Runs of the baseline."""
    further_runs: int | None
    """Runs that would settle it at the present delta; 0 if it is settled, None if 80 would not."""
    next_look: int | None
    """Number of runs at which the verdict is taken anew."""
    is_record: bool
    """Whether it holds the board's record."""
    refuted: str
    """Why a verdict of `better` no longer stands; empty otherwise."""


class BoardVerdicts(Message):
    """The verdicts of a board."""

    of: dict[str, ExperimentVerdict]
    """By the experiment's hash; those that cannot be judged yet are missing."""
    withdrawn: dict[str, WithdrawnNote]
    """Experiments that all their authors took back."""
    pending: str
    """Why experiments without a verdict have none."""


def board_verdicts(
    session: Session, key: str, num_baseline_runs: int, experiments: Collection[str]
) -> BoardVerdicts:
    """The verdicts of some experiments under a key.

    Args:
        num_baseline_runs: seeds of the baseline that were measured under it.
        experiments: their hashes.
    """
    verdicts = verdicts_among(session, key, experiments)
    pending = "Its first run is not judged yet."
    if num_baseline_runs < MIN_BASELINE_RUNS:
        pending = f"The baseline has {num_baseline_runs} of the {MIN_BASELINE_RUNS} runs that a "
        pending += "verdict needs."
    withdrawn = withdrawn_among(session, experiments)
    return BoardVerdicts(of=verdicts, withdrawn=withdrawn, pending=pending)


def verdicts_among(
    session: Session, key: str, experiments: Collection[str]
) -> dict[str, ExperimentVerdict]:
    """Verdicts under a key of those of some experiments that have one, by their hashes."""
    standing = standing_record(session, key)
    record_hash = standing.experiment_hash if standing else None
    rows = session.exec(JUDGED, params={"key": key, "experiments": list(experiments)})
    return {row.experiment_hash: _verdict(row, row.experiment_hash == record_hash) for row in rows}


def withdrawn_experiments(session: Session, track: str) -> dict[str, WithdrawnNote]:
    """Experiments of a track all of whose submissions were withdrawn, with the last reason."""
    # Few are withdrawn at all, so that all others need not be read.
    withdrawn = select(Withdrawal.submission_id)
    submitted = select(SubmissionRow.experiment_hash, SubmissionRow.track)
    rebased = select(Rebase.experiment_hash, SubmissionRow.track)
    rebased = rebased.join(SubmissionRow, col(SubmissionRow.id) == col(Rebase.submission_id))
    found = [
        *session.exec(submitted.where(col(SubmissionRow.id).in_(withdrawn))),
        *session.exec(rebased.where(col(Rebase.submission_id).in_(withdrawn))),
    ]
    return withdrawn_among(
        session, {identity for identity, of in found if identity and of == track}
    )


def withdrawn_among(session: Session, experiments: Collection[str]) -> dict[str, WithdrawnNote]:
    """Those of some experiments all of whose submissions were withdrawn, with the last reason."""
    if not experiments:
        return {}
    notes: dict[str, list[Withdrawal | None]] = {}
    rows = session.execute(WITHDRAWN_OR_NOT, {"experiments": list(experiments)})
    for experiment_hash, withdrawal in rows:
        notes.setdefault(experiment_hash, []).append(withdrawal)
    return {
        experiment_hash: _note(taken_back[-1])
        for experiment_hash, rows in notes.items()
        if len(taken_back := [row for row in rows if row is not None]) == len(rows)
    }


def experiment_verdict(session: Session, experiment_hash: str) -> ExperimentVerdict | None:
    """The verdict under the key of the newest result; None while there is none."""
    key = newest_key(session, experiment_hash)
    row = stored_judgement(session, experiment_hash, key) if key else None
    if key is None or row is None:
        return None
    standing = standing_record(session, key)
    return _verdict(row, standing is not None and standing.experiment_hash == experiment_hash)


def withdrawal_of(session: Session, submission_id: str) -> WithdrawnNote | None:
    """Why a submission was withdrawn, if it was."""
    row = session.get(Withdrawal, submission_id)
    return _note(row) if row else None


def withdrawals_of(session: Session, ids: Collection[str]) -> dict[str, WithdrawnNote]:
    """Why each of these submissions was withdrawn, of those that were."""
    query = select(Withdrawal).where(col(Withdrawal.submission_id).in_(ids))
    return {row.submission_id: _note(row) for row in session.exec(query)}


def _note(row: Withdrawal) -> WithdrawnNote:
    return WithdrawnNote(reason=row.reason, requested_by=row.requested_by, at=row.created_at)


def _verdict(row: JudgementRow, is_record: bool) -> ExperimentVerdict:
    verdict = Verdict(row.verdict)
    refuted = ""
    if row.was_better_at is not None and verdict is not Verdict.BETTER:
        runs = "1 run" if row.was_better_at == 1 else f"{row.was_better_at} runs"
        refuted = f"Better after {runs}, {verdict.value} after {row.num_runs}."
    values: Mapping[str, object] = row.model_dump(
        include={"delta", "low", "high", "num_runs", "num_baseline_runs", "further_runs"}
    )
    return ExperimentVerdict.model_validate(
        {
            **values,
            "verdict": verdict,
            "next_look": next_look(row.num_runs),
            "is_record": is_record,
            "refuted": refuted,
        }
    )
