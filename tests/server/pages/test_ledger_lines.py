from datetime import UTC, datetime

from pydantic import JsonValue

from core.schema.ledger import LedgerEntry, LedgerKind
from server.pages.ledger_lines import LedgerLine, ledger_lines

HASH = "0123456789abcdef" * 4


def line(subject: str, contents: dict[str, JsonValue]) -> LedgerLine:
    entry = LedgerEntry(
        sequence=12,
        recorded_at=datetime(2026, 1, 2, tzinfo=UTC),
        kind=LedgerKind.VERDICT,
        subject=subject,
        contents=contents,
        previous_hash=HASH,
        hash=HASH,
    )
    [found] = ledger_lines([entry])
    return found


def test_a_line_leads_to_its_entry_alone() -> None:
    assert line("s_1", {}).json_url == "/api/v1/ledger?after=11&limit=1"


def test_hashes_are_cut_short_and_ids_are_not() -> None:
    assert line(HASH, {}).subject == "01234567…"
    told = line("r_abcdefghij", {"digest": HASH, "run": "r_abcdefghij"})
    assert (told.subject, told.told) == (
        "r_abcdefghij",
        (("digest", "01234567…"), ("run", "r_abcdefghij")),
    )


def test_values_are_written_for_people_and_empty_ones_are_left_out() -> None:
    contents: dict[str, JsonValue] = {
        "num_runs": 3,
        "delta": -0.048399999,
        "before": None,
        "requested_by": "",
        "runs": ["r_1", "r_2"],
        "is_settled": True,
    }
    assert line("s_1", contents).told == (
        ("num runs", "3"),
        ("delta", "-0.0484"),
        ("runs", "r_1, r_2"),
        ("is settled", "yes"),
    )
