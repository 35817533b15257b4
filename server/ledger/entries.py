"""Writing the ledger, in the transaction of what it tells."""

from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue
from sqlmodel import Session, col, select

from core.schema.ledger import LedgerEntry, LedgerKind, LedgerPage
from server.ledger.tables import LedgerHead, LedgerRow
from server.tables import utc_now

HEAD_ID = 1


def take_turn(session: Session) -> None:
    """Wait for all other writers of the ledger, and let them wait until this transaction ends.

    Who locks rows that other writers lock too does this first: two that held one lock each and
    wanted both would block each other, where a database has more than one writer.
    """
    session.exec(select(LedgerHead).with_for_update()).one()


def record(
    session: Session, kind: LedgerKind, subject: str, contents: Mapping[str, JsonValue]
) -> None:
    """Add an entry; it is there if and only if the transaction's other changes are.

    Args:
        subject: id of what the entry tells of.
        contents: what became of it; must be JSON.
    """
    head = session.exec(select(LedgerHead).with_for_update()).one()
    unsigned = LedgerEntry(
        sequence=head.sequence + 1,
        recorded_at=utc_now(),
        kind=kind,
        subject=subject,
        contents=dict(contents),
        previous_hash=head.hash,
        hash=head.hash,
    )
    entry = unsigned.model_copy(update={"hash": unsigned.expected_hash()})
    session.add(LedgerRow.model_validate(entry.model_dump()))
    head.sequence, head.hash = entry.sequence, entry.hash
    session.add(head)
    session.flush()


def read(session: Session, after: int, limit: int) -> LedgerPage:
    """The entries that follow number `after`, at most `limit` of them."""
    head = session.get_one(LedgerHead, HEAD_ID)
    query = select(LedgerRow).where(LedgerRow.sequence > after).order_by(col(LedgerRow.sequence))
    rows = session.exec(query.limit(limit)).all()
    return LedgerPage(entries=tuple(map(_entry, rows)), head=head.hash, length=head.sequence)


def _entry(row: LedgerRow) -> LedgerEntry:
    values: dict[str, Any] = row.model_dump()
    return LedgerEntry.model_validate(values)
