"""The ledger: what happened on a server, in order, each entry chained to the one before.

An entry's hash covers its contents and the hash before it, so that nothing can be changed, left
out or put in between without every later hash changing. Whoever keeps one hash can prove later
that all before it is still the same.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum

from pydantic import AwareDatetime, Field, JsonValue

from core.schema.base import MAX_COUNT, Message

FIRST_HASH = "0" * 64
"""What stands before the first entry."""


class LedgerKind(StrEnum):
    """What an entry tells of."""

    SUBMISSION = "submission"
    RUN = "run"
    JOB = "job"
    RESULT = "result"
    VERDICT = "verdict"
    RECORD = "record"
    WITHDRAWAL = "withdrawal"
    WORKER = "worker"


class LedgerEntry(Message):
    """One thing that happened."""

    sequence: int = Field(ge=1, le=MAX_COUNT)
    """Number of the entry, counted from 1 without a gap."""
    recorded_at: AwareDatetime
    """When, in UTC."""
    kind: LedgerKind
    """What it tells of."""
    subject: str
    """Id of the submission, run, job, experiment or worker."""
    contents: dict[str, JsonValue]
    """What became of it."""
    previous_hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Hash of the entry before."""
    hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    """SHA-256 over all of the above."""

    def expected_hash(self) -> str:
        """The hash that the contents have."""
        return entry_hash(
            self.sequence,
            self.recorded_at,
            self.kind,
            self.subject,
            self.contents,
            self.previous_hash,
        )


class LedgerPage(Message):
    """Entries of a ledger, in order."""

    entries: tuple[LedgerEntry, ...]
    """At most as many as were asked for."""
    head: str
    """Hash of the ledger's last entry."""
    length: int
    """Entries that the ledger has."""


def entry_hash(
    sequence: int,
    recorded_at: datetime,
    kind: LedgerKind,
    subject: str,
    contents: Mapping[str, JsonValue],
    previous_hash: str,
) -> str:
    """The hash of an entry."""
    return digest(
        {
            "sequence": sequence,
            # A database may write a moment otherwise than JSON does.
            "recorded_at": recorded_at.timestamp(),
            "kind": kind.value,
            "subject": subject,
            "contents": dict(contents),
            "previous_hash": previous_hash,
        }
    )


def digest(value: JsonValue) -> str:
    """SHA-256 of a JSON value in its one spelling: sorted keys, no spaces."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def first_break(entries: Iterable[LedgerEntry], before: str = FIRST_HASH, start: int = 1) -> str:
    """What is wrong with a chain, in a sentence; empty if it holds.

    Args:
        before: hash of the entry before the first one given.
        start: number that the first one must have.
    """
    for number, entry in enumerate(entries, start):
        if entry.sequence != number:
            return f"entry {number} is missing; entry {entry.sequence} stands in its place."
        if entry.previous_hash != before:
            return f"entry {number} does not follow the entry before it."
        if entry.hash != entry.expected_hash():
            return f"entry {number} ({entry.kind} of {entry.subject}) was changed."
        before = entry.hash
    return ""
