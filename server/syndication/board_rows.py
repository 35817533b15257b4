"""The rows of a board, for what shows one or all of them without its page.

Whatever here needs to know where rows come from stands in this file.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, select

from core.schema.track import Track
from server.leaderboard import BoardRow as BoardRow
from server.leaderboard import Leaderboard, leaderboard
from server.tables import SubmissionRow


@dataclass(frozen=True, kw_only=True)
class ListedRow:
    """A row, and what its board's page does not show of it."""

    row: BoardRow
    key: str
    """The board's comparability key."""
    created_at: datetime | None
    """When its submission was accepted; None for what nobody submitted."""


@dataclass(frozen=True, kw_only=True)
class ListedBoard:
    """A board whose rows are read once."""

    key: str | None
    """The key that is shown; None while the track has no results."""
    rows: Iterator[ListedRow]
    """The baseline, then all others, best first, and behind them what was withdrawn."""


def listed_board(session: Session, track: Track, key: str | None = None) -> ListedBoard:
    """All rows of a track's board under a key, or under its default key.

    Raises:
        NotFound: the track has no result under that key; raised before a row is read.
    """
    board = leaderboard(session, track, key)
    query = select(SubmissionRow.id, SubmissionRow.created_at)
    created = dict(session.exec(query.where(SubmissionRow.track == track.rules.name)).all())
    listed = (
        ListedRow(row=row, key=board.key or "", created_at=created.get(row.submission_id or ""))
        for row in _rows(board)
    )
    return ListedBoard(key=board.key, rows=listed)


def board_row(session: Session, track: Track, key: str, experiment_hash: str) -> BoardRow | None:
    """The row of an experiment; None if the board does not list it.

    Raises:
        NotFound: the track has no result under that key.
    """
    rows = _rows(leaderboard(session, track, key))
    return next((row for row in rows if row.experiment_hash == experiment_hash), None)


def record_and_baseline(session: Session, track: Track) -> tuple[BoardRow | None, BoardRow | None]:
    """The row that holds the record under a track's default key, and the baseline's."""
    board = leaderboard(session, track)
    judged = (row for row in board.rows if row.verdict is not None and row.verdict.is_record)
    return next(judged, None), board.baseline


def _rows(board: Leaderboard) -> tuple[BoardRow, ...]:
    return (*((board.baseline,) if board.baseline else ()), *board.rows)
