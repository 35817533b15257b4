"""Answers that need every row of a table, kept until the ledger has grown.

Whatever a page counts leaves an entry in the ledger: submissions, jobs, results, verdicts, records,
withdrawals. So an answer is true as long as the ledger's last entry is the same.
"""

import time
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, NamedTuple, TypeVar, cast
from weakref import WeakKeyDictionary

from sqlalchemy import Pool
from sqlmodel import Session, select

from server.ledger.tables import LedgerHead

Answer = TypeVar("Answer")

MAX_SECONDS = 60.0
"""How long an answer is kept at most: results that are held back leave no entry."""
SLOW_SECONDS = 0.1
"""An answer that took longer to work out is kept for a while even if the ledger grows."""
REST = 50
"""That while, as a multiple of the time it took: no more than 2 % of a processor goes there."""


class _Kept(NamedTuple):
    answer: Any
    length: int
    """Of the ledger."""
    since: float
    rests_until: float


class _Place:
    """Where an answer is kept, and a lock for whoever works it out."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.kept: _Kept | None = None


_places: WeakKeyDictionary[Pool, dict[Hashable, _Place]] = WeakKeyDictionary()
_places_lock = Lock()


def kept(session: Session, name: Hashable, work: Callable[[], Answer]) -> Answer:
    """The answer of that name, worked out anew if what it was read from may have changed.

    Requests that ask at the same time wait for one of them to work it out.
    """
    length = session.exec(select(LedgerHead.sequence)).one()
    place = _place_of(session, name)
    with place.lock:
        known = place.kept
        if known is None or not _is_fresh(known, length):
            began = time.monotonic()
            answer = work()
            ended = time.monotonic()
            took = ended - began
            rest = REST * took if took > SLOW_SECONDS else 0.0
            known = _Kept(answer, length, ended, ended + rest)
            place.kept = known
    return cast(Answer, known.answer)


def _is_fresh(known: _Kept, length: int) -> bool:
    now = time.monotonic()
    if now < known.rests_until:
        return True
    return known.length == length and now - known.since < MAX_SECONDS


def _place_of(session: Session, name: Hashable) -> _Place:
    """By the pool of connections, which an engine and its copies with other options share."""
    pool = session.get_bind().engine.pool
    with _places_lock:
        return _places.setdefault(pool, {}).setdefault(name, _Place())
