import pytest
from sqlalchemy import Engine
from starlette.testclient import TestClient

from server import queue_listing
from tests.server.factories import API, claim_one, finish, heartbeat, submit
from tests.server.statements import sent_statements

EMPTY = {
    "running": [],
    "queued": [],
    "num_queued": 0,
    "page": 1,
    "has_next": False,
    "alarm": None,
}


def test_the_queue_lists_running_and_waiting_jobs_in_order(client: TestClient) -> None:
    assert client.get(f"{API}/queue").json() == EMPTY
    submit(client, "One")
    submit(client, "Two", author="bob")
    submit(client, "Three")
    offer = claim_one(client, "bench")
    heartbeat(client, offer, "training", 10, 250)
    queue = client.get(f"{API}/queue").json()
    (running,) = queue["running"]
    assert (running["name"], running["worker"], running["completed"]) == ("One", "bench", 10)
    assert [(entry["name"], entry["seed"], entry["worker"]) for entry in queue["queued"]] == [
        ("Two", 1001, None),
        ("Three", 1002, None),
    ]
    assert queue["queued"][0]["author"] == "bob"


def test_a_finished_job_leaves_the_queue(client: TestClient) -> None:
    submit(client)
    finish(client, claim_one(client))
    assert client.get(f"{API}/queue").json() == EMPTY


def test_pages_of_the_queue_go_on_where_the_one_before_ended(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_listing, "PER_PAGE", 2)
    for name in ("One", "Two", "Three", "Four", "Five", "Six"):
        submit(client, name)
    claim_one(client)
    pages = [client.get(f"{API}/queue", params={"page": page}).json() for page in (1, 2, 3, 4)]
    shown = [[entry["name"] for entry in page["queued"]] for page in pages]
    assert shown == [["Two", "Three"], ["Four", "Five"], ["Six"], []]
    places = [entry["forecast"]["position"] for page in pages for entry in page["queued"]]
    assert places == [1, 2, 3, 4, 5]
    assert [page["has_next"] for page in pages] == [True, True, False, False]
    assert all(page["num_queued"] == 5 for page in pages)
    assert all(page["running"][0]["name"] == "One" for page in pages)


def test_the_queue_page_names_its_neighbours(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_listing, "PER_PAGE", 1)
    for name in ("One", "Two", "Three"):
        submit(client, name)
    page = client.get("/queue?page=2").text
    assert 'href="/queue?page=1"' in page
    assert 'href="/queue?page=3"' in page
    assert 'href="/api/v1/queue?page=2"' in page
    assert "Fewer jobs wait by now." in client.get("/queue?page=9").text


def test_a_page_takes_as_many_statements_whatever_waits(client: TestClient, engine: Engine) -> None:
    counts = []
    for worker in ("first", "second"):
        for name in ("One", "Two", "Three"):
            submit(client, name)
        claim_one(client, worker)
        with sent_statements(engine) as statements:
            assert client.get("/queue").status_code == 200
        counts.append(len(statements))
    assert counts[0] == counts[1] <= 22
