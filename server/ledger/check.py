"""Whether the ledger holds, and whether the database still says what the ledger says."""

from collections.abc import Iterator

from sqlmodel import Session, col, select

from core.schema.base import Message
from core.schema.ledger import FIRST_HASH, LedgerEntry, LedgerKind, digest, first_break
from server.ledger.account import Account
from server.ledger.entries import read
from server.tables import Run
from server.verdict.tables import Withdrawal

PAGE = 1000
MAX_NAMED = 20
"""Faults that a report names."""


class LedgerReport(Message):
    """The outcome of a check."""

    length: int
    """Entries that were read."""
    head: str
    """Hash of the last one."""
    num_results: int
    """Results that were compared with their entries."""
    faults: tuple[str, ...]
    """What does not hold, a sentence each, at most 20; empty if all holds."""


def check_ledger(session: Session) -> LedgerReport:
    """Follow the chain, and compare the database with what was entered."""
    before, number = FIRST_HASH, 1
    faults: list[str] = []
    digests: dict[str, str] = {}
    withdrawn: set[str] = set()
    account = Account()
    for entries in _pages(session):
        if fault := first_break(entries, before, number):
            faults.append(fault)
            break
        before, number = entries[-1].hash, number + len(entries)
        for entry in entries:
            account.take(entry)
            if entry.kind is LedgerKind.RESULT:
                digests[entry.subject] = str(entry.contents["digest"])
            elif entry.kind is LedgerKind.WITHDRAWAL:
                withdrawn.add(entry.subject)
    page = read(session, number - 1, 1)
    if not faults and (page.head, page.length) != (before, number - 1):
        faults.append(f"the ledger ends after entry {number - 1}, and had {page.length} entries.")
    if not faults:
        faults += _changed_results(session, digests)
        faults += _changed_withdrawals(session, withdrawn)
        faults += account.differences(session)
    return LedgerReport(
        length=number - 1, head=before, num_results=len(digests), faults=tuple(faults[:MAX_NAMED])
    )


def _pages(session: Session) -> Iterator[tuple[LedgerEntry, ...]]:
    after = 0
    while entries := read(session, after, PAGE).entries:
        yield entries
        after = entries[-1].sequence


def _changed_results(session: Session, digests: dict[str, str]) -> Iterator[str]:
    """Results that are not what was entered, were never entered, or are gone."""
    left = dict(digests)
    query = select(Run.id, Run.result, Run.val_loss).where(col(Run.result).is_not(None))
    for run_id, result, val_loss in session.exec(query):
        entered = left.pop(run_id, None)
        if entered is None:
            yield f"the result of run {run_id} was never entered."
        elif digest(dict(result or {})) != entered:
            yield f"the result of run {run_id} is not the one that was entered."
        elif result is not None and val_loss != result["val_loss"]:
            yield f"the loss of run {run_id} is not that of its result."
    yield from (f"the result of run {run_id} is gone." for run_id in left)


def _changed_withdrawals(session: Session, entered: set[str]) -> Iterator[str]:
    stored = set(session.exec(select(Withdrawal.submission_id)))
    for submission_id in sorted(stored ^ entered):
        state = "was never entered" if submission_id in stored else "is gone"
        yield f"the withdrawal of {submission_id} {state}."
