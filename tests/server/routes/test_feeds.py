"""The feeds, held against what RFC 4287 asks of every feed and entry."""

import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest
from sqlalchemy import Engine, event
from starlette.testclient import TestClient

from tests.server.boards import NORM, RELU, finish_next, measure_baseline
from tests.server.factories import submit

ATOM = "{http://www.w3.org/2005/Atom}"
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
FEEDS = ("/records.atom", "/tracks/debug/records.atom")


@pytest.fixture
def records(client: TestClient) -> list[str]:
    """The ids of two submissions that held the record, one after the other."""
    measure_baseline(client)
    ids = []
    for name, config, loss in [("First <b>&", NORM, 1.5), ("Second", RELU, 1.2)]:
        ids.append(submit(client, name, config).submission_id)
        finish_next(client, loss)
    return ids


def read(client: TestClient, address: str) -> Element:
    response = client.get(address)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/atom+xml"
    return ElementTree.fromstring(response.content)


def text(parent: Element, tag: str) -> str:
    """The text of the one child of a tag."""
    found = parent.findall(ATOM + tag)
    assert len(found) == 1, tag
    return found[0].text or ""


def check(feed: Element) -> None:
    """What RFC 4287 says that a feed and its entries must have."""
    assert feed.tag == f"{ATOM}feed"
    itself = [link for link in feed.findall(f"{ATOM}link") if link.get("rel") == "self"]
    assert len(itself) == 1
    entries = feed.findall(f"{ATOM}entry")
    for part in (feed, *entries):
        assert re.match(r"(https?://|urn:uuid:)", text(part, "id"))
        assert text(part, "title")
        assert MOMENT.fullmatch(text(part, "updated"))
        assert [text(author, "name") != "" for author in part.findall(f"{ATOM}author")] == [True]
        alternates = [x for x in part.findall(f"{ATOM}link") if x.get("rel") == "alternate"]
        assert len(alternates) == 1
        assert (alternates[0].get("href") or "").startswith("http://board.test/")
    for entry in entries:
        assert MOMENT.fullmatch(text(entry, "published"))
        assert text(entry, "summary")
        assert [one.get("term") for one in entry.findall(f"{ATOM}category")] == ["debug"]
    assert len({text(entry, "id") for entry in entries}) == len(entries)


@pytest.mark.parametrize("address", FEEDS)
def test_a_feed_has_what_atom_asks_for(
    client: TestClient, records: list[str], address: str
) -> None:
    feed = read(client, address)
    check(feed)
    assert text(feed, "id") == f"http://board.test{address}"
    entries = feed.findall(f"{ATOM}entry")
    assert [text(entry, "title").split(": ")[0] for entry in entries] == ["Second", "First <b>&"]
    links = [entry.find(f"{ATOM}link") for entry in entries]
    assert [link.get("href") for link in links if link is not None] == [
        f"http://board.test/submissions/{identity}" for identity in reversed(records)
    ]
    assert text(feed, "updated") == text(entries[0], "updated")
    assert text(entries[0], "published") == text(entries[0], "updated")


@pytest.mark.parametrize("address", FEEDS)
def test_a_feed_without_records_is_one_all_the_same(client: TestClient, address: str) -> None:
    feed = read(client, address)
    check(feed)
    assert feed.findall(f"{ATOM}entry") == []


def test_a_summary_says_loss_delta_and_interval(client: TestClient, records: list[str]) -> None:
    board = client.get("/api/v1/tracks/debug/leaderboard").json()
    verdict = board["rows"][0]["verdict"]
    summary = text(read(client, FEEDS[0]).findall(f"{ATOM}entry")[0], "summary")
    assert summary.startswith("Validation loss 1.2000 nats when it became the record.")
    assert "Against the baseline ▼ −0.8000, 99 % interval " in summary
    assert f"−{-verdict['low']:.4f} to −{-verdict['high']:.4f}, from 1 run." in summary
    assert board["key"] in summary


def test_a_record_that_was_lost_stays_with_its_reason_and_id(
    client: TestClient, records: list[str]
) -> None:
    before = read(client, FEEDS[0]).findall(f"{ATOM}entry")[0]
    body = {"author": "ada", "reason": "A mistake."}
    assert client.post(f"/api/v1/submissions/{records[1]}/withdraw", json=body).is_success
    feed = read(client, FEEDS[0])
    check(feed)
    lost = next(
        entry
        for entry in feed.findall(f"{ATOM}entry")
        if text(entry, "title").startswith("Second: lost record of")
    )
    assert text(lost, "id") == text(before, "id")
    assert text(lost, "updated") > text(before, "updated")
    assert text(lost, "summary").endswith("Withdrawn: A mistake.")


def test_a_feed_has_its_own_track_alone(client: TestClient, records: list[str]) -> None:
    assert read(client, "/tracks/gpu_24gb/records.atom").findall(f"{ATOM}entry") == []
    assert client.get("/tracks/nowhere/records.atom").status_code == 404


def test_who_has_the_newest_feed_gets_304(client: TestClient, records: list[str]) -> None:
    tag = client.get(FEEDS[0]).headers["etag"]
    assert client.get(FEEDS[0], headers={"If-None-Match": tag}).status_code == 304


def test_number_of_queries_does_not_grow_with_records(
    client: TestClient, engine: Engine, records: list[str]
) -> None:
    statements: list[str] = []

    def note(*arguments: object) -> None:
        statements.append(str(arguments[2]))

    event.listen(engine, "before_cursor_execute", note)
    read(client, FEEDS[0])
    event.remove(engine, "before_cursor_execute", note)
    assert len([one for one in statements if one.startswith("SELECT")]) == 3


@pytest.mark.parametrize(
    ("page", "addresses"),
    [
        ("/", ["/records.atom"]),
        (
            "/tracks/debug",
            [
                "/api/v1/tracks/debug/leaderboard.csv",
                "/api/v1/tracks/debug/leaderboard.parquet",
                "/tracks/debug/records.atom",
                "/tracks/debug/badge.svg",
            ],
        ),
        ("/queue", []),
    ],
)
def test_pages_name_and_link_their_feeds_and_files(
    client: TestClient, page: str, addresses: list[str]
) -> None:
    html = client.get(page).text
    assert (
        re.findall(r'<link rel="alternate" type="[a-z./+]+" title="[^"]+" href="([^"]+)">', html)
        == addresses
    )
    for address in addresses:
        assert f'<a href="{address}">' in html
        assert client.get(address).status_code == 200


def test_files_of_a_page_are_of_the_key_that_it_shows(
    client: TestClient, records: list[str]
) -> None:
    key = client.get("/api/v1/tracks/debug/leaderboard").json()["key"]
    html = client.get(f"/tracks/debug?key={key}").text
    assert f'href="/api/v1/tracks/debug/leaderboard.csv?key={key}"' in html
