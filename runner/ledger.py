"""Checking a server's ledger without taking the server's word.

The chain is followed here, from the first entry to the last. What the server alone can see is
whether its database still says what the ledger says; its report of that must be about the very
ledger that was followed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from core.schema.ledger import FIRST_HASH, LedgerEntry, LedgerPage, first_break
from runner.api.client import AuthorClient
from runner.errors import LedgerBroken

PAGE = 1000
"""Entries of one answer, the most that a server gives."""


@dataclass(frozen=True)
class VerifiedLedger:
    """A ledger that holds."""

    length: int
    """Entries."""
    head: str
    """Hash of the last one: whoever keeps it can tell later whether all up to here is the same."""
    num_results: int
    """Results of the database that are those that were entered."""


def newest_entries(client: AuthorClient, limit: int) -> LedgerPage:
    """The last entries of a ledger, in order."""
    length = client.ledger(0, 1).length
    return client.ledger(max(0, length - limit), limit)


def verify_ledger(client: AuthorClient, since: str = "") -> VerifiedLedger:
    """Follow a whole ledger.

    Args:
        since: hash that a head had earlier and that must be in the chain; empty for none.

    Raises:
        LedgerBroken: with the first fault.
    """
    # Asked before reading, so that what it speaks of is part of what is read.
    report = client.check_ledger()
    length, head, checked = 0, FIRST_HASH, FIRST_HASH
    has_since = since in ("", FIRST_HASH)
    for entry in _entries(client):
        length, head = entry.sequence, entry.hash
        has_since = has_since or entry.hash == since
        if entry.sequence == report.length:
            checked = entry.hash
    if not has_since:
        raise LedgerBroken(
            f"No entry of the ledger has the hash {since}: what was entered up to it has been "
            "changed since, or it is the hash of another server's ledger."
        )
    if report.faults:
        more = f" (and {len(report.faults) - 1} more)" if len(report.faults) > 1 else ""
        fault = f"The database does not say what the ledger says: {report.faults[0]}{more}"
        raise LedgerBroken(fault)
    if checked != report.head or length < report.length:
        raise LedgerBroken(
            f"The server compared its database with a ledger of {report.length:,} entries that "
            f"ends in {report.head}; the ledger that it shows has {length:,} and no such entry."
        )
    return VerifiedLedger(length=length, head=head, num_results=report.num_results)


def _entries(client: AuthorClient) -> Iterator[LedgerEntry]:
    """All entries in order, each of which follows from the one before.

    Raises:
        LedgerBroken: one does not, or the last one is not the ledger's head.
    """
    number, before = 0, FIRST_HASH
    while True:
        page = client.ledger(number, PAGE)
        if fault := first_break(page.entries, before, number + 1):
            raise LedgerBroken(f"The ledger does not hold: {fault}")
        yield from page.entries
        if page.entries:
            number, before = page.entries[-1].sequence, page.entries[-1].hash
        if number == page.length:
            if page.head != before:
                raise LedgerBroken(
                    f"The ledger does not hold: its head is {page.head}, and its last entry, "
                    f"{number:,}, has the hash {before}."
                )
            return
        # Entries may come in while a page is read, so that only one without any is the last.
        if not page.entries:
            raise LedgerBroken(
                f"The ledger does not hold: it ends after entry {number:,}, and had "
                f"{page.length:,} entries."
            )
