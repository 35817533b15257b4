"""The record of a board: the experiment that was better than the record before it."""

import math
from collections.abc import Collection, Sequence
from statistics import fmean
from typing import Any

from sqlalchemy import BindParameter, bindparam
from sqlmodel import Session, col, select

from core.schema.ledger import LedgerKind
from server.idle.names import named_experiments
from server.ledger.entries import record as enter
from server.tables import utc_now
from server.verdict.judge import Judgement, Verdict
from server.verdict.looks import latest_look
from server.verdict.tables import JudgementRow, RecordRow, Withdrawal

STANDING = (
    select(RecordRow)
    .where(RecordRow.comparability_key == bindparam("key"), col(RecordRow.lost_at).is_(None))
    .order_by(col(RecordRow.id).desc())
    .limit(1)
)


def _submissions(experiments: BindParameter[str] | None) -> Any:
    """Each submission's experiment, with the submission's id if it was withdrawn."""
    named = named_experiments(experiments)
    return select(named.c.experiment_hash, Withdrawal.submission_id).outerjoin(
        Withdrawal, col(Withdrawal.submission_id) == named.c.submission_id
    )


SUBMISSIONS_AMONG = _submissions(bindparam("experiments", expanding=True))
"""Built once, since that takes longer than to send it."""


def standing_record(session: Session, key: str) -> RecordRow | None:
    """The record of a board; None before the first."""
    return session.exec(STANDING, params={"key": key}).one_or_none()


def open_records(
    session: Session, experiment_hash: str, key: str | None = None
) -> tuple[RecordRow, ...]:
    """Records of an experiment that were not lost, under one key or all."""
    query = select(RecordRow).where(
        RecordRow.experiment_hash == experiment_hash, col(RecordRow.lost_at).is_(None)
    )
    if key is not None:
        query = query.where(RecordRow.comparability_key == key)
    return tuple(session.exec(query.order_by(col(RecordRow.id))))


def counted_mean(losses: Sequence[float]) -> float:
    """Mean of the runs that a verdict counts; infinite without one."""
    counted = losses[: latest_look(len(losses))]
    return fmean(counted) if counted else math.inf


def settle_record(
    session: Session,
    experiment_hash: str,
    key: str,
    losses: list[float],
    judgement: Judgement | None,
    standing: RecordRow | None,
    against_record: Judgement | None,
    *,
    is_verified: bool,
) -> None:
    """Make an experiment the record if it is better than the baseline and than the record.

    One that is no longer better, or no longer verified, loses every record that it had: the last
    of them would stand again if those after it were lost.

    Args:
        standing: the board's record; without one, nobody has any to lose.
        against_record: the judgement against it; None if the experiment holds it.
    """
    reason = ""
    if judgement is None or judgement.verdict is not Verdict.BETTER:
        reason = "It is no longer better than the baseline."
    elif not is_verified:
        reason = "No trusted worker has verified it."
    if reason:
        lost = open_records(session, experiment_hash, key) if standing is not None else ()
        for held in lost:
            lose_record(session, held, reason)
        return
    beats = against_record is not None and against_record.verdict is Verdict.BETTER
    if standing is not None and not beats:
        return
    if is_withdrawn(session, experiment_hash):
        return
    mean = counted_mean(losses)
    row = {"comparability_key": key, "experiment_hash": experiment_hash, "val_loss": mean}
    session.add(RecordRow.model_validate(row))
    session.flush()
    before = standing.experiment_hash if standing else None
    enter(
        session,
        LedgerKind.RECORD,
        experiment_hash,
        {"key": key, "state": "set", "val_loss": mean, "before": before},
    )


def lose_record(session: Session, row: RecordRow, reason: str) -> None:
    """End a record; the one before it stands again."""
    row.lost_at, row.lost_reason = utc_now(), reason
    session.add(row)
    session.flush()
    contents = {"key": row.comparability_key, "state": "lost", "reason": reason}
    enter(session, LedgerKind.RECORD, row.experiment_hash, contents)


def is_withdrawn(session: Session, experiment_hash: str) -> bool:
    """Whether every submission of an experiment, or rebased onto it, was withdrawn."""
    return experiment_hash in withdrawn_among(session, [experiment_hash])


def withdrawn_among(session: Session, experiments: Sequence[str] | None) -> set[str]:
    """The experiments of which that is so, among some or all."""
    if experiments is None:
        submissions = session.exec(_submissions(None))
    else:
        submissions = session.exec(SUBMISSIONS_AMONG, params={"experiments": experiments})
    taken_back: dict[str, bool] = {}
    for experiment_hash, withdrawal in submissions:
        is_so = taken_back.get(experiment_hash, True)
        taken_back[experiment_hash] = is_so and withdrawal is not None
    return {experiment_hash for experiment_hash, is_so in taken_back.items() if is_so}


def stored_judgement(session: Session, experiment_hash: str, key: str) -> JudgementRow | None:
    """The judgement of an experiment under a key, if it has one."""
    return session.get(JudgementRow, (experiment_hash, key))


def stored_judgements(
    session: Session, key: str, experiments: Collection[str] | None
) -> dict[str, JudgementRow]:
    """The judgements of a board by experiment, of some experiments or of all."""
    query = select(JudgementRow).where(JudgementRow.comparability_key == key)
    if experiments is not None:
        query = query.where(col(JudgementRow.experiment_hash).in_(experiments))
    return {row.experiment_hash: row for row in session.exec(query)}
