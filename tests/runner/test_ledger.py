"""Following a ledger, against servers that lie in every way."""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime

import httpx
import pytest

from core.schema.ledger import FIRST_HASH, LedgerEntry
from runner import ledger
from runner.api.client import AuthorClient
from runner.api.transport import Transport
from runner.errors import LedgerBroken
from runner.ledger import VerifiedLedger, newest_entries, verify_ledger


def chain(*reasons: str) -> list[LedgerEntry]:
    """Withdrawals, one for each reason; hashed here by the rule that the schema's text states."""
    entries, before = [], FIRST_HASH
    for number, reason in enumerate(reasons, 1):
        moment = datetime(2026, 1, 1, second=number, tzinfo=UTC)
        told = {
            "sequence": number,
            "recorded_at": moment.timestamp(),
            "kind": "withdrawal",
            "subject": f"s_{number}",
            "contents": {"reason": reason},
            "previous_hash": before,
        }
        text = json.dumps(told, sort_keys=True, separators=(",", ":"))
        before = hashlib.sha256(text.encode()).hexdigest()
        entry = {**told, "recorded_at": moment, "hash": before}
        entries.append(LedgerEntry.model_validate(entry))
    return entries


FIVE = chain("a", "b", "c", "d", "e")


class Server:
    """Shows entries by pages; says of itself what it is told to."""

    def __init__(self, entries: Sequence[LedgerEntry], **said: object) -> None:
        self.entries = list(entries)
        head = entries[-1].hash if entries else FIRST_HASH
        report = {"length": len(entries), "head": head, "num_results": 2, "faults": []}
        self.page = {"head": head, "length": len(entries)}
        self.page |= {key: value for key, value in said.items() if key in ("head", "length")}
        self.report = report | {key: value for key, value in said.items() if key in report}
        self.num_pages = 0

    def handle(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/v1/ledger/check":
            return httpx.Response(200, json=self.report)
        self.num_pages += 1
        after, limit = (int(request.url.params[name]) for name in ("after", "limit"))
        shown = [entry for entry in self.entries if entry.sequence > after][:limit]
        entries = [entry.model_dump(mode="json") for entry in shown]
        return httpx.Response(200, json={**self.page, "entries": entries})

    @property
    def client(self) -> AuthorClient:
        return AuthorClient(Transport("http://server", 0.0, httpx.MockTransport(self.handle)))


@pytest.fixture(autouse=True)
def small_pages(monkeypatch):
    monkeypatch.setattr(ledger, "PAGE", 2)


def test_a_ledger_is_followed_through_all_its_pages():
    server = Server(FIVE)
    verified = VerifiedLedger(length=5, head=FIVE[4].hash, num_results=2)
    assert verify_ledger(server.client) == verified
    assert server.num_pages == 3


def test_an_empty_ledger_holds():
    assert verify_ledger(Server([]).client).head == FIRST_HASH


@pytest.mark.parametrize(
    ("entries", "fault"),
    [
        (
            [*FIVE[:2], FIVE[2].model_copy(update={"contents": {"reason": "?"}}), *FIVE[3:]],
            r"entry 3 \(withdrawal of s_3\) was changed",
        ),
        ([*FIVE[:2], *FIVE[3:]], "entry 3 is missing"),
        (FIVE[1:], "entry 1 is missing"),
        ([*FIVE[:2], *chain("a", "x", "c")[2:], *FIVE[3:]], "entry 3 does not follow"),
    ],
)
def test_whoever_touches_an_entry_is_found_out(entries, fault):
    with pytest.raises(LedgerBroken, match=f"The ledger does not hold: {fault}"):
        verify_ledger(Server(entries).client)


def test_a_ledger_that_lost_its_end_is_found_out():
    with pytest.raises(LedgerBroken, match="ends after entry 3, and had 5 entries"):
        verify_ledger(Server(FIVE[:3], length=5).client)


def test_a_head_that_no_entry_has_is_found_out():
    with pytest.raises(LedgerBroken, match=f"its head is {'f' * 64}, and its last entry, 5"):
        verify_ledger(Server(FIVE, head="f" * 64).client)


def test_an_earlier_head_must_still_be_there():
    for kept in (FIRST_HASH, FIVE[0].hash, FIVE[4].hash):
        assert verify_ledger(Server(FIVE).client, kept).length == 5
    rewritten = Server(chain("a", "b", "C", "d", "e"))
    assert verify_ledger(rewritten.client, FIVE[1].hash).length == 5
    with pytest.raises(LedgerBroken, match=f"No entry of the ledger has the hash {FIVE[3].hash}"):
        verify_ledger(rewritten.client, FIVE[3].hash)


def test_a_changed_database_is_named_by_its_first_fault():
    server = Server(FIVE, faults=["the result of run r_1 is gone.", "another.", "a third."])
    with pytest.raises(LedgerBroken, match=r"the result of run r_1 is gone\. \(and 2 more\)"):
        verify_ledger(server.client)


def test_a_report_on_another_ledger_is_refused():
    server = Server(FIVE)
    server.report["head"] = chain("a", "b", "c", "d", "E")[4].hash
    with pytest.raises(LedgerBroken, match="compared its database with a ledger of 5 entries"):
        verify_ledger(server.client)
    server = Server(FIVE)
    server.report |= {"length": 9, "head": FIRST_HASH}
    with pytest.raises(LedgerBroken, match="compared its database with a ledger of 9 entries"):
        verify_ledger(server.client)


def test_entries_may_come_in_between_report_and_reading():
    server = Server(FIVE)
    server.report |= {"length": 3, "head": FIVE[2].hash}
    assert verify_ledger(server.client).length == 5


@pytest.mark.parametrize(("limit", "sequences"), [(2, [4, 5]), (9, [1, 2, 3, 4, 5])])
def test_the_newest_entries_are_the_last_ones(limit, sequences):
    page = newest_entries(Server(FIVE).client, limit)
    assert [entry.sequence for entry in page.entries] == sequences
