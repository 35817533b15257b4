"""Entries of the ledger as lines of a table."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from pydantic import JsonValue

from core.schema.ledger import LedgerEntry, LedgerKind

SHORT = 8
"""Characters of a hash that are shown."""
HASH_LENGTH = 64


@dataclass(frozen=True, kw_only=True)
class LedgerLine:
    """An entry as its readers see it."""

    sequence: int
    recorded_at: datetime
    kind: LedgerKind
    subject: str
    """Id, a hash cut short."""
    told: tuple[tuple[str, str], ...]
    """Name and value of what became of it, without what is empty."""
    json_url: str
    """The entry whole, with its hashes."""


def ledger_lines(entries: Iterable[LedgerEntry]) -> tuple[LedgerLine, ...]:
    """One line for each entry, in the same order."""
    return tuple(
        LedgerLine(
            sequence=entry.sequence,
            recorded_at=entry.recorded_at,
            kind=entry.kind,
            subject=_short(entry.subject),
            told=tuple(_told(entry.contents)),
            json_url=f"/api/v1/ledger?after={entry.sequence - 1}&limit=1",
        )
        for entry in entries
    )


def _told(contents: Mapping[str, JsonValue]) -> Iterator[tuple[str, str]]:
    for name, value in contents.items():
        if value is None or value in ("", []):
            continue
        yield name.replace("_", " "), _written(value)


def _written(value: JsonValue) -> str:
    if isinstance(value, list):
        return ", ".join(map(_written, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else _short(str(value))


def _short(text: str) -> str:
    return f"{text[:SHORT]}…" if len(text) == HASH_LENGTH and text.isalnum() else text
