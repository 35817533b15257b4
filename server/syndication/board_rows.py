"""The rows of a board, for what shows one or all of them without its page.

Whatever here needs to know where rows come from stands in this file.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select

from core.schema.track import Track
from server.board.query import MAX_ROWS, BoardQuery
from server.board.tables import BoardEntry, Place
from server.board_keys import board_keys, shown_key
from server.leaderboard import BoardRow as BoardRow
from server.leaderboard import leaderboard, rows_of_entries
from server.tables import SubmissionRow
from server.verdict.records import standing_record


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
    key = shown_key(board_keys(session, track), track, key)
    return ListedBoard(key=key, rows=_listed(session, track, key) if key else iter(()))


def board_row(session: Session, track: Track, key: str, experiment_hash: str) -> BoardRow | None:
    """The row of an experiment; None if the board does not list it."""
    entry = session.get(BoardEntry, (key, experiment_hash))
    if entry is None or entry.place is Place.UNLISTED:
        return None
    return rows_of_entries(session, track, key, [entry])[0]


def record_and_baseline(session: Session, track: Track) -> tuple[BoardRow | None, BoardRow | None]:
    """The row that holds the record under a track's default key, and the baseline's."""
    key = shown_key(board_keys(session, track), track, None)
    if key is None:
        return None, None
    standing = standing_record(session, key)
    record = board_row(session, track, key, standing.experiment_hash) if standing else None
    return record, leaderboard(session, track, BoardQuery(key=key, page_rows=1)).baseline


def _listed(session: Session, track: Track, key: str) -> Iterator[ListedRow]:
    """The rows, read as many at a time as the longest page has."""
    page, num_pages = 1, 1
    while page <= num_pages:
        board = leaderboard(session, track, BoardQuery(key=key, page=page, page_rows=MAX_ROWS))
        first = [board.baseline] if board.baseline is not None and page == 1 else []
        rows = [*first, *board.rows]
        ids = [row.submission_id for row in rows]
        query = select(SubmissionRow.id, SubmissionRow.created_at)
        created = dict(session.exec(query.where(col(SubmissionRow.id).in_(ids))).all())
        for row in rows:
            yield ListedRow(row=row, key=key, created_at=created.get(row.submission_id or ""))
        page, num_pages = page + 1, board.num_pages
