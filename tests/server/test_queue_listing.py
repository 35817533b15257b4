from starlette.testclient import TestClient

from tests.server.factories import API, claim_one, finish, heartbeat, submit

EMPTY = {"running": [], "queued": [], "alarm": None}


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
