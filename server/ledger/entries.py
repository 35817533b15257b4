"""Writing the ledger, in the transaction of what it tells."""

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import JsonValue
from sqlalchemy import select as select_columns
from sqlalchemy import update
from sqlmodel import Session, col, select

from core.schema.ledger import LedgerEntry, LedgerKind, LedgerPage
from server.ledger.tables import LedgerHead, LedgerRow
from server.tables import table_of, utc_now

ENTRY, HEAD = table_of(LedgerRow), table_of(LedgerHead)
LAST = select_columns(HEAD.c.sequence, HEAD.c.hash)
LAST_LOCKED = LAST.with_for_update()
"""The last entry, which nobody adds to until the transaction ends."""
MOVE_HEAD = update(HEAD)


def take_turn(session: Session) -> None:
    """Wait for all other writers of the ledger, and let them wait until this transaction ends.

    Who locks rows that other writers lock too does this first: two that held one lock each and
    wanted both would block each other, where a database has more than one writer.
    """
    session.connection().execute(LAST_LOCKED).one()


def record(
    session: Session, kind: LedgerKind, subject: str, contents: Mapping[str, JsonValue]
) -> None:
    """Add an entry; it is there if and only if the transaction's other changes are.

    Args:
        subject: id of what the entry tells of.
        contents: what became of it; must be JSON.
    """
    connection = session.connection()
    sequence, before = connection.execute(LAST_LOCKED).one()
    unsigned = LedgerEntry(
        sequence=sequence + 1,
        recorded_at=utc_now(),
        kind=kind,
        subject=subject,
        contents=dict(contents),
        previous_hash=before,
        hash=before,
    )
    entry = unsigned.model_copy(update={"hash": unsigned.expected_hash()})
    connection.execute(ENTRY.insert(), entry.model_dump())
    connection.execute(MOVE_HEAD, {"sequence": entry.sequence, "hash": entry.hash})


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
