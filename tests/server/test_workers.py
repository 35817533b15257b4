from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import Response
from sqlalchemy import Engine
from sqlmodel import Session, select
from starlette.testclient import TestClient

from core.schema.job import PROTOCOL_VERSION, JobOffer
from server.database import write_session
from server.tables import Worker
from tests.server.factories import (
    API,
    GIB,
    claim,
    claim_one,
    finish,
    hello,
    register,
    report,
    submit,
)
from tests.server.statements import sent_statements


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


TELEMETRY = {
    "temperature_celsius": 61.5,
    "memory_used_bytes": 8 * GIB,
    "memory_total_bytes": 80 * GIB,
    "driver": "550.54.15",
}
H100 = {"device": "NVIDIA H100", "has_cuda": True, "memory_bytes": 80 * GIB}


def beat(client: TestClient, offer: JobOffer, **more: object) -> Response:
    return report(client, offer, "heartbeat", phase="training", completed=5, total=10, **more)


def list_all(client: TestClient) -> dict[str, dict[str, Any]]:
    """All workers by name."""
    workers = client.get(f"{API}/workers").json()["workers"]
    return {worker["name"]: worker for worker in workers}


def test_a_heartbeat_tells_how_the_device_is(client: TestClient) -> None:
    submit(client)
    offer = claim_one(client, "bench", **H100)
    before = list_all(client)["bench"]
    assert (before["temperature_celsius"], before["driver"]) == (None, "")
    assert before["telemetry_at"] is None
    assert beat(client, offer, telemetry=TELEMETRY).status_code == 200
    told = list_all(client)["bench"]
    assert {name: told[name] for name in TELEMETRY} == TELEMETRY
    assert told["telemetry_at"] == told["last_seen_at"]


def test_an_idle_worker_tells_how_its_device_is(client: TestClient) -> None:
    worker_id = register(client, "bench", **H100)
    assert claim(client, worker_id, num_devices=2, telemetry=TELEMETRY) is None
    told = list_all(client)["bench"]
    assert told["state"] == "idle"
    assert {name: told[name] for name in TELEMETRY} == TELEMETRY
    html = client.get("/queue").text
    assert f'as of <time datetime="{told["telemetry_at"].replace("Z", "+00:00")}">' in html


def test_a_worker_that_waits_makes_the_server_write_twice_a_minute_at_most(
    client: TestClient, engine: Engine
) -> None:
    worker_id = register(client, "bench")
    claim(client, worker_id, telemetry=TELEMETRY)
    hot = {**TELEMETRY, "temperature_celsius": 90.0}
    claim(client, worker_id, telemetry=hot)
    assert list_all(client)["bench"]["temperature_celsius"] == 61.5
    with write_session(engine) as session:
        worker = session.get_one(Worker, worker_id)
        assert worker.telemetry_at is not None
        worker.telemetry_at -= timedelta(seconds=31)
    claim(client, worker_id, telemetry=hot)
    assert list_all(client)["bench"]["temperature_celsius"] == 90.0


def test_a_poll_without_news_costs_no_statement(client: TestClient, engine: Engine) -> None:
    worker_id = register(client, "bench")
    claim(client, worker_id)
    with sent_statements(engine) as bare:
        claim(client, worker_id)
    with sent_statements(engine) as silent:
        claim(client, worker_id, num_devices=2)
    assert len(silent) == len(bare)


def test_readers_of_the_queue_hear_of_an_idle_worker(
    app: FastAPI, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[list[str], bool]] = []
    worker_id = register(client, "bench")
    monkeypatch.setattr(
        app.state.hub, "tell", lambda topics, of_boards=True: told.append((topics, of_boards))
    )
    for _ in range(2):
        claim(client, worker_id, telemetry=TELEMETRY)
    assert told == [(["queue"], False)]


@pytest.mark.parametrize(
    ("poll", "field"),
    [
        ({"num_devices": 0}, "num_devices"),
        ({"num_devices": 1025}, "num_devices"),
        ({"telemetry": {"driver": "x" * 81}}, "driver"),
        ({"telemetry": {"memory_used_bytes": -1}}, "memory_used_bytes"),
    ],
)
def test_a_poll_out_of_bounds_is_refused(
    client: TestClient, poll: dict[str, Any], field: str
) -> None:
    response = client.post(f"{API}/workers/{register(client)}/claim", json=poll)
    assert response.status_code == 422
    assert field in response.text


def test_what_a_newer_worker_tells_with_its_poll_is_ignored(client: TestClient) -> None:
    submit(client)
    assert claim(client, register(client), fans=3, telemetry={"fan": 3}) is not None


def test_a_worker_that_tells_nothing_keeps_what_it_told(client: TestClient) -> None:
    submit(client)
    offer = claim_one(client)
    beat(client, offer, telemetry=TELEMETRY)
    assert beat(client, offer).status_code == 200
    assert list_all(client)["bench"]["temperature_celsius"] == 61.5


def test_what_a_newer_worker_tells_beyond_that_is_ignored(client: TestClient) -> None:
    submit(client)
    offer = claim_one(client)
    assert beat(client, offer, telemetry={**TELEMETRY, "fan": 3}).status_code == 200


@pytest.mark.parametrize("celsius", [-101.0, 301.0, "hot"])
def test_impossible_temperatures_are_refused(client: TestClient, celsius: object) -> None:
    submit(client)
    offer = claim_one(client)
    refused = beat(client, offer, telemetry={"temperature_celsius": celsius})
    assert refused.status_code == 422
    assert "temperature_celsius" in refused.text


def test_the_list_of_workers_says_where_each_job_stands(client: TestClient) -> None:
    receipt = submit(client, "Mine")
    beat(client, claim_one(client, "busy"))
    register(client, "free")
    workers = list_all(client)
    assert workers["busy"]["jobs"] == [
        {
            "run_id": receipt.run_id,
            "submission_id": receipt.submission_id,
            "name": "Mine",
            "track": "debug",
            "state": "running",
            "phase": "training",
            "completed": 5,
            "total": 10,
        }
    ]
    assert (workers["busy"]["state"], workers["free"]["state"]) == ("working", "idle")
    assert workers["free"]["jobs"] == []


def test_the_list_of_workers_says_what_each_is_offered(client: TestClient) -> None:
    register(client, "processor")
    register(client, "gpu", **H100)
    register(client, "tiny", memory_bytes=1)
    workers = list_all(client)
    assert workers["processor"]["offers"] == [{"track": "debug", "price_usd_per_hour": 0.04}]
    prices = {offer["track"]: offer["price_usd_per_hour"] for offer in workers["gpu"]["offers"]}
    assert prices["five_dollar"] == prices["gpu_24gb"] == 2.2
    assert prices["debug"] is None
    assert workers["tiny"]["offers"] == []


def test_the_page_shows_each_worker_as_it_is(client: TestClient) -> None:
    receipt = submit(client, "Mine")
    beat(client, claim_one(client, "bench", **H100), telemetry=TELEMETRY)
    register(client, "free")
    html = client.get("/queue").text
    table = html[html.index('id="workers"') : html.index('id="canaries"')]
    free, busy = table.split("<tr data-key=")[1:]  # the last seen first
    for part in (
        '<span class="state working">working</span>',
        f'<a href="/submissions/{receipt.submission_id}">Mine</a>',
        '<progress max="10" value="5"',
        "five_dollar",
        "$2.20/h",
        "driver 550.54.15",
        "62 °C",
        "8.00 GiB",
        "of 80.00 GiB",
    ):
        assert part in busy, part
    assert '<span class="state idle">idle</span>' in free
    assert "five_dollar" not in free
