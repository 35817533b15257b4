"""Answers that need every row of a table, kept until the ledger has grown.

Whatever a page counts leaves an entry in the ledger: submissions, jobs, results, verdicts, records,
withdrawals. So an answer is true as long as the ledger's last entry is the same, once what follows
from the results before it has been drawn.
"""

import logging
import time
from collections.abc import Callable, Hashable
from threading import Lock, Thread
from typing import Any, NamedTuple, TypeVar, cast
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, Pool, exists, select
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session

from server.database import read_session
from server.ledger.tables import LedgerHead
from server.settlement.tables import UnsettledResult
from server.tables import table_of

Answer = TypeVar("Answer")
Work = Callable[[Session], Answer]

HEAD, NOTE = table_of(LedgerHead), table_of(UnsettledResult)

MAX_SECONDS = 60.0
"""How long an answer is kept at most: results that are held back leave no entry."""
SLOW_SECONDS = 0.1
"""An answer that took longer to work out is kept for a while even if the ledger grows."""
REST = 50
"""That while, as a multiple of the time it took: no more than 2 % of a processor goes there."""
MAX_STALE_SECONDS = 600.0
"""After that while the answer is worked out anew beside the requests, which get the one before it
up to this age."""

logger = logging.getLogger(__name__)


class _State(NamedTuple):
    """What an answer was read from."""

    length: int
    """Of the ledger."""
    is_settled: bool


class _Kept(NamedTuple):
    answer: Any
    state: _State
    since: float
    rests_until: float


class _Place:
    """Where an answer is kept, and a lock for whoever works it out."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.kept: _Kept | None = None
        self.renewal: Thread | None = None

    def work_out(self, session: Session, work: Work[Answer]) -> _Kept:
        state = _state_of(session)
        began = time.monotonic()
        answer = work(session)
        ended = time.monotonic()
        took = ended - began
        rest = REST * took if took > SLOW_SECONDS else 0.0
        self.kept = _Kept(answer, state, ended, ended + rest)
        return self.kept

    def renew_beside(self, engine: Engine, work: Work[Answer]) -> None:
        """Work the answer out in a thread of its own, unless one is at it."""
        if self.renewal is None or not self.renewal.is_alive():
            self.renewal = Thread(target=self._renew, args=(engine, work), daemon=True)
            self.renewal.start()

    def _renew(self, engine: Engine, work: Work[Answer]) -> None:
        try:
            with read_session(engine) as session:
                self.work_out(session, work)
        except SQLAlchemyError:
            # Requests get the answer before, and in the end work it out themselves.
            logger.warning("an answer could not be renewed", exc_info=True)


STATE = select(HEAD.c.sequence, ~exists(select(NOTE.c.run_id)).label("is_settled"))

_places: WeakKeyDictionary[Pool, dict[Hashable, _Place]] = WeakKeyDictionary()
_places_lock = Lock()


def kept(session: Session, name: Hashable, work: Work[Answer]) -> Answer:
    """The answer of that name, worked out anew if what it was read from may have changed.

    Requests that ask at the same time wait for one of them to work it out. One that is slow is
    worked out beside them.

    Args:
        work: reads in the session that it is given, which may be another one.
    """
    state = _state_of(session)
    place = _place_of(session, name)
    with place.lock:
        known = place.kept
        if known is None or _is_due(known, state):
            known = place.work_out(session, work)
        elif not _is_fresh(known, state):
            place.renew_beside(session.get_bind().engine, work)
    return cast(Answer, known.answer)


def _state_of(session: Session) -> _State:
    return _State(*session.connection().execute(STATE).one())


def _is_due(known: _Kept, state: _State) -> bool:
    """Whether a reader has to wait for another answer."""
    is_slow = known.rests_until > known.since
    age = time.monotonic() - known.since
    return not _is_fresh(known, state) and (not is_slow or age > MAX_STALE_SECONDS)


def _is_fresh(known: _Kept, state: _State) -> bool:
    now = time.monotonic()
    if now < known.rests_until:
        return True
    return known.state == state and now - known.since < MAX_SECONDS


def _place_of(session: Session, name: Hashable) -> _Place:
    """By the pool of connections, which an engine and its copies with other options share."""
    pool = session.get_bind().engine.pool
    with _places_lock:
        return _places.setdefault(pool, {}).setdefault(name, _Place())
