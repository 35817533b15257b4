"""What the heads of pages tell programs, read out of the HTML as programs do."""

import json
from html.parser import HTMLParser
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.server.boards import NORM, RELU, finish_next, measure_baseline
from tests.server.factories import post_yaml, submit, submit_and_finish

BASE = "http://board.test"
EVIL = "</script><script>alert(1)</script> & \"both' <!--"


class Head(HTMLParser):
    """Collects the tags of meta data, and the data blocks."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.meta: dict[str, str] = {}
        self.blocks: list[Any] = []
        self._in_block = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "meta" and (name := values.get("property") or values.get("name")):
            self.meta[name] = values.get("content") or ""
        self._in_block = tag == "script" and values.get("type") == "application/ld+json"

    def handle_data(self, data: str) -> None:
        if self._in_block:
            self.blocks.append(json.loads(data))
            self._in_block = False


def head_of(client: TestClient, address: str) -> Head:
    response = client.get(address)
    assert response.status_code == 200
    return Head(response.text)


@pytest.fixture
def better(client: TestClient) -> str:
    measure_baseline(client)
    identity = submit(client, "QK-norm", NORM).submission_id
    finish_next(client, 1.5)
    return identity


def test_a_submission_is_previewed_with_its_card(client: TestClient, better: str) -> None:
    meta = head_of(client, f"/submissions/{better}").meta
    assert meta["og:title"] == "QK-norm"
    assert meta["og:type"] == "website"
    assert meta["og:url"] == f"{BASE}/submissions/{better}"
    assert meta["og:image"] == f"{BASE}/submissions/{better}/card.png"
    assert (meta["og:image:width"], meta["og:image:height"]) == ("1200", "630")
    assert "better, ▼ −0.5000 nats against the baseline" in meta["og:image:alt"]
    assert meta["twitter:card"] == "summary_large_image"
    assert meta["og:description"] == meta["description"]
    assert meta["description"].startswith("By ada on ")
    assert "validation loss 1.5000. It is better." in meta["description"]
    assert client.get(meta["og:image"].removeprefix(BASE)).status_code == 200


def test_a_track_is_previewed_with_the_loss_to_beat(client: TestClient) -> None:
    empty = head_of(client, "/tracks/debug").meta
    measure_baseline(client)
    baseline = head_of(client, "/tracks/debug").meta
    submit(client, "QK-norm", NORM)
    finish_next(client, 1.5)
    record = head_of(client, "/tracks/debug").meta
    assert "Baseline" not in empty["og:description"]
    assert baseline["og:description"].startswith("Baseline 2.0000. ")
    assert record["og:description"].startswith("Record 1.5000 by ada. ")
    assert record["og:url"] == f"{BASE}/tracks/debug"
    assert record["twitter:card"] == "summary"
    assert "og:image" not in record


def test_a_comparison_is_previewed_with_its_verdict(client: TestClient, better: str) -> None:
    other = submit_and_finish(client, "Worse", RELU, 2.5).submission_id
    meta = head_of(client, f"/compare?a={better}&b={other}").meta
    assert meta["og:title"] == "QK-norm and Worse"
    assert meta["og:url"] == f"{BASE}/compare?id={better}&id={other}"
    assert meta["og:description"].startswith("Worse against QK-norm: is worse, ▲ +1.0000 nats")
    assert meta["og:description"].endswith("2 settings differ.")


def test_submissions_on_different_data_are_previewed_without_a_verdict(client: TestClient) -> None:
    a = submit_and_finish(client, "A", NORM).submission_id
    b = submit_and_finish(client, "B", RELU, validation="e").submission_id
    said = head_of(client, f"/compare?a={a}&b={b}").meta["og:description"]
    assert "nats" not in said
    assert said.endswith(" 2 settings differ.")


@pytest.mark.parametrize("page", ["/", "/queue", "/compare"])
def test_other_pages_have_no_preview(client: TestClient, page: str) -> None:
    head = head_of(client, page)
    assert not any(name.startswith(("og:", "twitter:")) for name in head.meta)
    assert head.blocks == []


def test_a_submission_without_a_result_says_how_far_it_is(client: TestClient) -> None:
    identity = submit(client, "Waits", RELU).submission_id
    meta = head_of(client, f"/submissions/{identity}").meta
    assert ": queued. It is better." in meta["description"]


def test_a_withdrawn_submission_says_so(client: TestClient, better: str) -> None:
    body = {"author": "ada", "reason": "A mistake."}
    assert client.post(f"/api/v1/submissions/{better}/withdraw", json=body).is_success
    assert ": withdrawn. " in head_of(client, f"/submissions/{better}").meta["description"]


def test_long_hypotheses_are_shortened(client: TestClient) -> None:
    text = f"track: debug\nauthor: ada\nname: Long\nhypothesis: '{'word ' * 300}'\n"
    identity = post_yaml(client, text).json()["submission_id"]
    said = head_of(client, f"/submissions/{identity}").meta["description"]
    assert len(said) <= 300
    assert said.endswith("word…")


def test_a_track_is_a_data_set(client: TestClient, better: str) -> None:
    (data,) = head_of(client, "/tracks/debug").blocks
    board = client.get("/api/v1/tracks/debug/leaderboard").json()
    assert (data["@context"], data["@type"]) == ("https://schema.org", "Dataset")
    assert data["url"] == data["@id"] == f"{BASE}/tracks/debug"
    assert data["identifier"] == board["key"]
    assert data["dateModified"].replace("+00:00", "Z") == board["keys"][0]["latest_at"]
    # What search engines ask of a data set's description.
    assert 50 <= len(data["description"]) <= 5000
    downloads = {one["encodingFormat"]: one["contentUrl"] for one in data["distribution"]}
    assert list(downloads) == ["text/csv", "application/vnd.apache.parquet"]
    for address in downloads.values():
        assert client.get(address.removeprefix(BASE)).status_code == 200


def test_a_track_without_results_is_a_data_set_without_a_date(client: TestClient) -> None:
    (data,) = head_of(client, "/tracks/debug").blocks
    assert data["@type"] == "Dataset"
    assert "dateModified" not in data
    assert "identifier" not in data


def test_a_submission_is_a_report_on_its_tracks_data_set(client: TestClient, better: str) -> None:
    child = submit(client, "Child", RELU, built_on=better).submission_id
    finish_next(client, 1.4)
    (data,) = head_of(client, f"/submissions/{child}").blocks
    (track,) = head_of(client, "/tracks/debug").blocks
    assert data["@type"] == "Report"
    assert data["author"] == {"@type": "Person", "name": "ada"}
    assert data["isPartOf"]["@id"] == track["@id"]
    assert data["isBasedOn"] == f"{BASE}/submissions/{better}"
    assert data["about"]["value"] == 1.4
    assert data["abstract"] == "It is better."


def test_what_strangers_write_cannot_leave_its_block(client: TestClient) -> None:
    name = EVIL.replace("'", "''")
    text = f"track: debug\nauthor: mallory\nname: '{name}'\nhypothesis: '{name}'\n"
    identity = post_yaml(client, text).json()["submission_id"]
    html = client.get(f"/submissions/{identity}").text
    assert "</script><script>alert" not in html
    head = Head(html)
    assert head.blocks[0]["name"] == EVIL
    assert head.meta["og:title"] == EVIL


def test_addresses_of_another_key_name_it(client: TestClient, better: str) -> None:
    key = client.get("/api/v1/tracks/debug/leaderboard").json()["key"]
    head = head_of(client, f"/tracks/debug?key={key}")
    assert head.meta["og:url"] == head.blocks[0]["url"] == f"{BASE}/tracks/debug?key={key}"
