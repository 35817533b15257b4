import pytest
from sqlmodel import Session, select
from starlette.testclient import TestClient

from core.schema.job import PROTOCOL_VERSION
from server.tables import Worker
from tests.server.factories import API, GIB, claim_one, finish, hello, register, submit


def test_a_worker_learns_its_id_and_how_often_to_report(client: TestClient) -> None:
    answer = client.post(f"{API}/workers", json=hello()).json()
    assert answer["worker_id"].startswith("w_")
    assert answer["heartbeat_seconds"] == 15.0  # six in a lease of 90 s


def test_the_same_name_is_the_same_worker_with_its_new_device(
    client: TestClient, session: Session
) -> None:
    first = register(client, "bench")
    again = register(client, "bench", device="NVIDIA H100", has_cuda=True, memory_bytes=80 * GIB)
    assert again == first
    worker = session.exec(select(Worker)).one()
    assert (worker.device, worker.has_cuda, worker.memory_bytes) == ("NVIDIA H100", True, 80 * GIB)


@pytest.mark.parametrize(
    ("version", "kind"),
    [(PROTOCOL_VERSION - 1, "worker_too_old"), (PROTOCOL_VERSION + 1, "server_too_old")],
)
def test_another_protocol_is_refused_with_what_to_update(
    client: TestClient, session: Session, version: int, kind: str
) -> None:
    response = client.post(f"{API}/workers", json=hello(protocol_version=version))
    assert (response.status_code, response.json()["kind"]) == (409, kind)
    assert f"update the {kind.split('_')[0]}" in response.json()["message"]
    assert session.exec(select(Worker)).all() == []


def test_the_list_of_workers_says_what_each_runs(client: TestClient) -> None:
    receipt = submit(client)
    register(client, "idle")
    offer = claim_one(client, "busy")
    workers = client.get(f"{API}/workers").json()["workers"]
    assert [(w["name"], w["run_ids"]) for w in workers] == [
        ("busy", [receipt.run_id]),
        ("idle", []),
    ]
    finish(client, offer)
    assert client.get(f"{API}/workers").json()["workers"][0]["run_ids"] == []
