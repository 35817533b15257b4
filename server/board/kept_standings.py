"""The standings of boards, kept in memory and brought up to date by what changed since.

A board of 100,000 rows takes some 50 MB. It is read in whole once, when the server starts or a
page asks for it first.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Pool, bindparam
from sqlalchemy import select as select_columns
from sqlmodel import Session, col, select

from server.board.standings import Standing, Standings, StandingsChange
from server.board.tables import BoardEntry, BoardTotals, Place
from server.tables import table_of
from server.verdict.board_losses import board_spreads

MAX_BOARDS = 8
"""Boards that are kept: those that were read last."""
MAX_CHANGES = 1_000
"""Changed rows beyond which a board is read in whole."""

ENTRY = table_of(BoardEntry)
ROWS = (
    select_columns(
        ENTRY.c.place,
        ENTRY.c.val_loss,
        ENTRY.c.experiment_hash,
        ENTRY.c.cost_usd,
        ENTRY.c.author,
        ENTRY.c.verdict,
        ENTRY.c.verified,
        ENTRY.c.search_text,
    )
    .where(ENTRY.c.comparability_key == bindparam("key"))
    .order_by(ENTRY.c.val_loss, ENTRY.c.experiment_hash)
)
CHANGED_ROWS = ROWS.where(ENTRY.c.revision > bindparam("revision")).limit(MAX_CHANGES + 1)


@dataclass(frozen=True)
class _Kept:
    """A board as it was at a revision."""

    version: str
    revision: int
    standings: Standings


class _Board:
    """What is kept of a board."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.newest: _Kept | None = None
        self.by_hash: dict[str, Standing] = {}
        """Every row of the newest."""

    def at(self, session: Session, totals: BoardTotals) -> Standings:
        """The standings at a revision, which are kept."""
        with self.lock:
            newest = self.newest
            if newest is not None and newest.version == totals.version:
                return newest.standings
            # A lower revision is that of a session that began before the last change, or of a
            # database that was put back.
            is_later = newest is not None and newest.revision < totals.revision
            changed = self._bring_up(session, totals, newest) if newest and is_later else None
            return self._read(session, totals) if changed is None else changed

    def _read(self, session: Session, totals: BoardTotals) -> Standings:
        key = totals.comparability_key
        rows = _by_place(session.connection().execute(ROWS, {"key": key}))
        ranked, withdrawn = rows[Place.RANKED], rows[Place.WITHDRAWN]
        found = Standings.of(ranked, withdrawn, board_spreads(session, key))
        self.newest = _Kept(totals.version, totals.revision, found)
        self.by_hash = {one.experiment_hash: one for one in (*ranked, *withdrawn)}
        return found

    def _bring_up(self, session: Session, totals: BoardTotals, newest: _Kept) -> Standings | None:
        """The newest with what changed since; None where that is too much, or rows are gone."""
        asked = {"key": totals.comparability_key, "revision": newest.revision}
        rows = session.connection().execute(CHANGED_ROWS, asked).all()
        if len(rows) > MAX_CHANGES:
            return None
        experiments = {row.experiment_hash for row in rows}
        found = _by_place(rows)
        ranked, withdrawn = found[Place.RANKED], found[Place.WITHDRAWN]
        change = StandingsChange(
            experiments=experiments,
            before=[self.by_hash[one] for one in experiments if one in self.by_hash],
            ranked=ranked,
            withdrawn=withdrawn,
            spreads=board_spreads(session, totals.comparability_key, experiments),
        )
        changed = newest.standings.changed(change)
        if len(changed.ranked) != totals.num_ranked:
            return None
        for one in experiments:
            self.by_hash.pop(one, None)
        self.by_hash.update((one.experiment_hash, one) for one in (*ranked, *withdrawn))
        self.newest = _Kept(totals.version, totals.revision, changed)
        return changed


_boards: WeakKeyDictionary[Pool, OrderedDict[str, _Board]] = WeakKeyDictionary()
"""By key; databases are told apart by their connections."""
_lock = Lock()


def standings(session: Session, key: str) -> Standings:
    """The standings of a board, as this session sees it."""
    query = select(BoardTotals).where(BoardTotals.comparability_key == key)
    totals = session.exec(query).one_or_none()
    if totals is None:
        return Standings()
    with _lock:
        boards = _boards.setdefault(session.get_bind().engine.pool, OrderedDict())
        board = boards.setdefault(key, _Board())
        boards.move_to_end(key)
        while len(boards) > MAX_BOARDS:
            boards.popitem(last=False)
    return board.at(session, totals)


def read_ahead(session: Session) -> None:
    """Keep the standings of the largest boards before anybody asks for them."""
    boards = select(BoardTotals.comparability_key).order_by(col(BoardTotals.num_listed).desc())
    for key in session.exec(boards.limit(MAX_BOARDS)).all():
        standings(session, key)


def _by_place(rows: Iterable[Any]) -> dict[Place, list[Standing]]:
    """Rows of a board as standings, in their order."""
    found: dict[Place, list[Standing]] = {place: [] for place in Place}
    for place, loss, *others in rows:
        if loss is not None:
            found[place].append(Standing(loss, *others))
    return found
