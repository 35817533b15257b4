"""Who asked for another look at an experiment, and what came out."""

from collections.abc import Collection

from pydantic import AwareDatetime
from sqlalchemy import ColumnElement
from sqlmodel import Session, col, or_, select

from core.schema.base import Message
from server.verdict.judge import Judgement, Verdict
from server.verdict.records import stored_judgement
from server.verdict.tables import RerunRow

MAX_NOTES = 3
"""Reruns that a row of a board names, the newest ones."""


class RerunNote(Message):
    """That somebody asked for a rerun."""

    requested_by: str
    """The author who asked."""
    asked_at: AwareDatetime
    """When."""
    num_runs_then: int
    """Number of runs at which its verdict is taken."""
    before: Verdict | None
    """The verdict when it was asked for; None if there was none."""
    after: Verdict | None
    """The first verdict on as many runs; None until it is taken."""


def note_rerun(
    session: Session, experiment_hash: str, key: str | None, requested_by: str, num_runs_then: int
) -> None:
    """Keep that somebody asked, with the verdict at that time.

    Args:
        key: of the board whose verdict is meant; None before the experiment's first result.
    """
    judgement = stored_judgement(session, experiment_hash, key) if key else None
    row = {
        "experiment_hash": experiment_hash,
        "comparability_key": key,
        "requested_by": requested_by,
        "num_runs_then": num_runs_then,
        "verdict_before": judgement.verdict if judgement else None,
    }
    session.add(RerunRow.model_validate(row))
    session.flush()


def any_open_reruns(session: Session, key: str) -> bool:
    """Whether a board has reruns of which it is not known yet what came out."""
    query = select(RerunRow.id).where(_is_of(key), col(RerunRow.verdict_after).is_(None))
    return session.exec(query.limit(1)).first() is not None


def settle_reruns(session: Session, experiment_hash: str, key: str, judgement: Judgement) -> None:
    """Keep what came out of the reruns that have reached their number of runs."""
    query = select(RerunRow).where(
        RerunRow.experiment_hash == experiment_hash,
        _is_of(key),
        col(RerunRow.verdict_after).is_(None),
        RerunRow.num_runs_then <= judgement.num_runs,
    )
    for row in session.exec(query):
        row.verdict_after = judgement.verdict.value
        session.add(row)
    session.flush()


def rerun_notes(
    session: Session, key: str, experiments: Collection[str]
) -> dict[str, tuple[RerunNote, ...]]:
    """The reruns of some experiments of a board, by hash, the newest three first."""
    query = select(RerunRow).where(_is_of(key), col(RerunRow.experiment_hash).in_(experiments))
    query = query.order_by(col(RerunRow.id).desc())
    notes: dict[str, tuple[RerunNote, ...]] = {}
    for row in session.exec(query):
        earlier = notes.get(row.experiment_hash, ())
        notes[row.experiment_hash] = (*earlier, _note(row))[:MAX_NOTES]
    return notes


def _is_of(key: str) -> ColumnElement[bool]:
    """Whether a rerun is of a board, or was asked for before any had a result."""
    asked_for = col(RerunRow.comparability_key)
    return or_(asked_for == key, asked_for.is_(None))


def _note(row: RerunRow) -> RerunNote:
    return RerunNote(
        requested_by=row.requested_by,
        asked_at=row.asked_at,
        num_runs_then=row.num_runs_then,
        before=Verdict(row.verdict_before) if row.verdict_before else None,
        after=Verdict(row.verdict_after) if row.verdict_after else None,
    )
