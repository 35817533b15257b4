"""Writing the ledger, in the transaction of what it tells."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import JsonValue
from sqlalchemy import select as select_columns
from sqlalchemy import update
from sqlmodel import Session, col, select

from core.schema.ledger import LedgerEntry, LedgerKind, LedgerPage, entry_hash
from server.ledger.tables import LedgerHead, LedgerRow
from server.tables import table_of, utc_now

ENTRY, HEAD = table_of(LedgerRow), table_of(LedgerHead)
LAST = select_columns(HEAD.c.sequence, HEAD.c.hash)
LAST_LOCKED = LAST.with_for_update()
"""The last entry, which nobody adds to until the transaction ends."""
ADDED = ENTRY.insert()
MOVE_HEAD = update(HEAD)


class Head(NamedTuple):
    """The last entry."""

    sequence: int
    hash: str


class News(NamedTuple):
    """What an entry is to tell."""

    kind: LedgerKind
    subject: str
    """Id of what it tells of."""
    contents: Mapping[str, JsonValue]
    """What became of it."""


def take_turn(session: Session) -> Head:
    """Wait for all other writers of the ledger, and let them wait until this transaction ends.

    Who locks rows that other writers lock too does this first: two that held one lock each and
    wanted both would block each other, where a database has more than one writer.

    Returns:
        The ledger's last entry.
    """
    return Head(*session.connection().execute(LAST_LOCKED).one())


def record(
    session: Session, kind: LedgerKind, subject: str, contents: Mapping[str, JsonValue]
) -> None:
    """Add an entry; it is there if and only if the transaction's other changes are.

    Args:
        subject: id of what the entry tells of.
        contents: what became of it; must be JSON.
    """
    add_entries(session, take_turn(session), [News(kind, subject, contents)])


def add_entries(session: Session, head: Head, news: Sequence[News]) -> None:
    """Add entries, in order.

    Args:
        head: the last entry so far, whose turn the transaction has.
    """
    now, rows = utc_now(), []
    for kind, subject, contents in news:
        number, before = head.sequence + 1, head.hash
        head = Head(number, entry_hash(number, now, kind, subject, contents, before))
        row = {
            "sequence": number,
            "recorded_at": now,
            "kind": kind,
            "subject": subject,
            "contents": dict(contents),
            "previous_hash": before,
            "hash": head.hash,
        }
        rows.append(row)
    session.connection().execute(ADDED, rows)
    session.connection().execute(MOVE_HEAD, head._asdict())


def read(session: Session, after: int, limit: int) -> LedgerPage:
    """The entries that follow number `after`, at most `limit` of them."""
    length, head = session.connection().execute(LAST).one()
    query = select(LedgerRow).where(LedgerRow.sequence > after).order_by(col(LedgerRow.sequence))
    rows = session.exec(query.limit(limit)).all()
    return LedgerPage(entries=tuple(map(_entry, rows)), head=head, length=length)


def newest_of(session: Session, subjects: Collection[str], limit: int) -> tuple[LedgerEntry, ...]:
    """The entries that tell of some subjects, the newest first, at most `limit` of them."""
    query = select(LedgerRow).where(col(LedgerRow.subject).in_(subjects))
    rows = session.exec(query.order_by(col(LedgerRow.sequence).desc()).limit(limit))
    return tuple(map(_entry, rows))


def _entry(row: LedgerRow) -> LedgerEntry:
    values: dict[str, Any] = row.model_dump()
    return LedgerEntry.model_validate(values)
