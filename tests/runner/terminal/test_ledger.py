"""Entries of a ledger as lines."""

import io

from rich.console import Console

from core.schema.ledger import LedgerEntry, LedgerPage
from runner.terminal.ledger import print_ledger, write_contents

HASH = "0123456789abcdef" * 4


def entry(**changes: object) -> LedgerEntry:
    values = {
        "sequence": 7,
        "recorded_at": "2026-01-02T03:04:05Z",
        "kind": "withdrawal",
        "subject": "s_1",
        "contents": {"by": "ada"},
        "previous_hash": HASH,
        "hash": HASH,
    }
    return LedgerEntry.model_validate({**values, **changes})


def test_contents_are_one_line_with_short_hashes():
    contents = {
        "experiment": HASH,
        "delta": -0.012345678,
        "runs": 3,
        "before": None,
        "reason": "two\nlines",
        "requested_by": "",
    }
    assert write_contents(entry(contents=contents)) == (
        "experiment 0123456789ab…, delta -0.0123457, runs 3, before not set, "
        'reason two lines, requested_by ""'
    )


def test_an_entry_is_one_line_and_the_head_is_whole():
    stream = io.StringIO()
    entries = (entry(contents={"reason": "[red]" + "long " * 50}), entry(subject=HASH))
    page = LedgerPage(entries=entries, head=HASH, length=1234)
    print_ledger(Console(file=stream, width=100), page)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1 + 2 + 2 + 1 + 1
    assert "2026-01-02 03:04:05" in lines[3]
    assert "[red]long" in lines[3]
    assert "0123456789ab…" in lines[4]
    assert lines[-1] == f"1,234 entries, head {HASH}"


def test_no_entries_are_no_table():
    stream = io.StringIO()
    print_ledger(Console(file=stream, width=80), LedgerPage(entries=(), head=HASH, length=3))
    assert stream.getvalue().splitlines()[0] == "There are no such entries."
