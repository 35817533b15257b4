"""Entries of a ledger, and the outcome of following it."""

import json
from collections.abc import Iterator
from dataclasses import asdict

from pydantic import JsonValue
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from core.schema.ledger import LedgerEntry, LedgerPage
from runner.errors import LedgerBroken
from runner.ledger import VerifiedLedger
from runner.terminal.figures import write_setting

HASH_DIGITS = 12
"""Digits that are shown of hashes where there are many."""


def print_ledger(console: Console, page: LedgerPage) -> None:
    """Entries, a line each, and the head."""
    table = Table(expand=True)
    for name in ("number", "time (UTC)", "kind", "subject"):
        table.add_column(name, no_wrap=True)
    # Takes what the others leave of a line.
    table.add_column("contents", no_wrap=True, overflow="ellipsis", ratio=1)
    for entry in page.entries:
        table.add_row(
            str(entry.sequence),
            f"{entry.recorded_at:%Y-%m-%d %H:%M:%S}",
            entry.kind.value,
            escape(_shortened(entry.subject)),
            escape(write_contents(entry)),
        )
    if page.entries:
        console.print(table)
    else:
        console.print("There are no such entries.")
    console.print(f"{page.length:,} entries, head {page.head}", soft_wrap=True)


def write_contents(entry: LedgerEntry) -> str:
    """The contents of an entry on one line, with long hashes cut."""
    return ", ".join(f"{name} {_written(value)}" for name, value in entry.contents.items())


def verified_rows(ledger: VerifiedLedger, since: str) -> Iterator[tuple[str, str]]:
    """What was found to hold."""
    yield "entries", f"{ledger.length:,}, each of which follows from the one before"
    yield "head", ledger.head
    if since:
        yield "kept hash", "is in the chain, so nothing before it was changed"
    yield "database", f"{ledger.num_results:,} results as entered, by the server's own account"


def verified_json(ledger: VerifiedLedger) -> str:
    """What was found to hold."""
    return json.dumps({"holds": True, **asdict(ledger)}, indent=2)


def broken_json(error: LedgerBroken) -> str:
    """What does not hold."""
    return json.dumps({"holds": False, "fault": str(error)}, indent=2)


def _written(value: JsonValue) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return " ".join(_shortened(write_setting(value)).split()) or '""'


def _shortened(text: str) -> str:
    """A SHA-256 by its first digits; other text as it is."""
    is_hash = len(text) == 64 and not set(text) - set("0123456789abcdef")
    return f"{text[:HASH_DIGITS]}…" if is_hash else text
