"""What a board has come to: its records over time, and what the lowest loss costs."""

from pydantic import AwareDatetime
from sqlmodel import Session, col, select

from core.schema.base import Message
from core.schema.track import Track
from server.board.kept_standings import standings
from server.board.standings import Standing
from server.board.tables import BoardEntry
from server.board_keys import board_keys, shown_key
from server.run_labels import Label
from server.verdict.tables import RecordRow

MAX_RECORDS = 50
"""Records that are shown, the newest."""
MAX_FRONTIER = 50
"""Experiments of the frontier that are shown, those of the lowest loss."""


class RecordStep(Label):
    """An experiment that took the record."""

    val_loss: float
    """Mean validation loss of the runs that were counted then."""
    set_at: AwareDatetime
    """When it took the record."""
    lost_reason: str
    """Why it turned out to be none; empty while it counts, or was beaten."""


class FrontierStep(Label):
    """An experiment that no cheaper one beats."""

    cost_usd: float
    """Cost of one run."""
    val_loss: float
    """Mean validation loss."""


class BoardHistory(Message):
    """The records of a board, and its frontier of loss against cost."""

    track: str
    """Track name."""
    key: str | None
    """Comparability key of the board; None while the track has no results."""
    records: tuple[RecordStep, ...]
    """The newest 50, the oldest of them first, those that turned out to be none among them."""
    frontier: tuple[FrontierStep, ...]
    """The experiments that no cheaper one beats, the cheapest first."""


def board_history(session: Session, track: Track, key: str | None = None) -> BoardHistory:
    """The history of a track's board under a key, or under its default key.

    Raises:
        NotFound: the track has no result under that key.
    """
    return history_under(session, track, shown_key(board_keys(session, track), track, key))


def history_under(session: Session, track: Track, key: str | None) -> BoardHistory:
    """The history of a track's board under a key that it has."""
    return BoardHistory(
        track=track.rules.name,
        key=key,
        records=record_history(session, key) if key else (),
        frontier=cost_frontier(session, key) if key else (),
    )


def record_history(session: Session, key: str) -> tuple[RecordStep, ...]:
    """The records of a board, the oldest first, those that turned out to be none among them."""
    query = (
        select(RecordRow, BoardEntry)
        .join(
            BoardEntry,
            (col(BoardEntry.experiment_hash) == col(RecordRow.experiment_hash))
            & (col(BoardEntry.comparability_key) == col(RecordRow.comparability_key)),
        )
        .where(RecordRow.comparability_key == key)
        .order_by(col(RecordRow.id).desc())
        .limit(MAX_RECORDS)
    )
    return tuple(
        RecordStep(
            submission_id=entry.submission_id,
            name=entry.name,
            author=entry.author,
            val_loss=record.val_loss,
            set_at=record.set_at,
            lost_reason=record.lost_reason,
        )
        for record, entry in reversed(session.exec(query).all())
    )


def cost_frontier(session: Session, key: str) -> tuple[FrontierStep, ...]:
    """The experiments that no cheaper one beats, the cheapest first."""
    frontier = standings(session, key).frontier[-MAX_FRONTIER:]
    query = select(BoardEntry).where(BoardEntry.comparability_key == key)
    query = query.where(
        col(BoardEntry.experiment_hash).in_([one.experiment_hash for one in frontier])
    )
    entries = {entry.experiment_hash: entry for entry in session.exec(query)}
    return tuple(_step(one, entries[one.experiment_hash]) for one in frontier)


def _step(one: Standing, entry: BoardEntry) -> FrontierStep:
    return FrontierStep(
        submission_id=entry.submission_id,
        name=entry.name,
        author=entry.author,
        cost_usd=one.cost_usd or 0.0,
        val_loss=one.val_loss,
    )
