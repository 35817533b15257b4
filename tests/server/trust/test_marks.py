import threading

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine
from sqlmodel import Session, select
from starlette.testclient import TestClient

from core.schema.job import JobOffer
from core.schema.result import Verification
from core.schema.track import Track
from server import app as app_module
from server.access.tables import WorkerToken
from server.app import create_app
from server.database import write_session
from server.settings import Access, ServerSettings
from server.tables import Run
from tests.server.boards import NORM, entries_of
from tests.server.factories import API, claim_one, finish, hello, register, submit
from tests.server.trust.conftest import People


def trusted_workers(client: TestClient) -> dict[str, bool]:
    workers = client.get(f"{API}/workers").json()["workers"]
    return {worker["name"]: worker["is_trusted"] for worker in workers}


def test_a_new_worker_is_not_trusted_until_a_maintainer_says_so(people: People) -> None:
    worker_id = register(people.owner, "ours")
    assert trusted_workers(people.ada) == {"ours": False}
    assert "not trusted" in people.ada.get("/queue").text
    answer = people.mark("ours", True).json()
    assert answer == {"worker_id": worker_id, "worker": "ours", "trusted": True, "num_results": 0}
    register(people.owner, "ours")
    assert trusted_workers(people.ada) == {"ours": True}
    assert "not trusted" not in people.ada.get("/queue").text


def test_the_ledger_says_who_marked_whom(people: People, session: Session) -> None:
    worker_id = register(people.owner, "ours")
    for trusted in (True, True, False):
        people.mark("ours", trusted)
    told = [entry.contents for entry in entries_of(session, [worker_id])]
    assert told == [
        {"state": "trusted", "by": "root", "results": 0},
        {"state": "distrusted", "by": "root", "results": 0},
    ]
    assert people.ada.get(f"{API}/ledger/check").json()["faults"] == []


def test_only_an_administrator_marks(people: People) -> None:
    register(people.stranger, "theirs")
    body = {"worker": "theirs", "trusted": True}
    for client, status in ((people.stranger, 403), (people.ada, 403)):
        assert client.post(f"{API}/workers/trust", json=body).status_code == status
    assert trusted_workers(people.ada) == {"theirs": False}


def test_a_worker_that_never_registered_is_named(people: People) -> None:
    response = people.mark("nobody", True)
    assert response.status_code == 404
    assert "no worker named 'nobody'" in response.json()["message"]


@pytest.mark.parametrize("body", [{"worker": ""}, {"trusted": "perhaps"}])
def test_a_wrong_field_of_a_mark_is_named(people: People, body: dict[str, object]) -> None:
    response = people.root.post(f"{API}/workers/trust", json={"worker": "x", "trusted": 1} | body)
    assert response.status_code == 422
    assert response.json()["problems"][0]["path"] in body


def test_a_mark_counts_for_what_the_worker_has_measured(people: People, session: Session) -> None:
    submit(people.ada, "Gain", NORM)
    people.finish_next(1.5, is_trusted=False)
    first = select(Run.verification).where(Run.val_loss == 1.5)
    assert session.exec(first).all() == [Verification.UNVERIFIED]
    assert people.mark("theirs", True).json()["num_results"] == 1
    session.rollback()
    assert session.exec(first).all() == [Verification.TRUSTED]
    assert people.mark("theirs", False).json()["num_results"] == 1
    session.rollback()
    assert session.exec(first).all() == [Verification.UNVERIFIED]


def test_an_open_server_trusts_everybody_and_lets_nobody_mark(
    settings: ServerSettings,
    tracks: dict[str, Track],
    people: People,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(app_module, "load_tracks", lambda folder: tracks)
    register(people.stranger, "theirs")
    with TestClient(create_app(settings)) as client:
        client.headers.update(people.root.headers)
        assert trusted_workers(client) == {"theirs": True}
        submit(client)
        finish(client, claim_one(client, "bench"))
        assert trusted_workers(client) == {"bench": True, "theirs": True}
        body = {"worker": "bench", "trusted": False}
        response = client.post(f"{API}/workers/trust", json=body)
        assert (response.status_code, response.json()["kind"]) == (409, "not_markable")
        row = client.get(f"{API}/tracks/debug/leaderboard").json()["baseline"]
        assert row["verified"]


def test_the_name_of_a_worker_from_open_days_brings_no_trust(
    settings: ServerSettings, app: FastAPI, people: People
) -> None:
    app.state.settings = app.state.settings.model_copy(update={"access": Access.OPEN})
    register(TestClient(app), "bench")
    app.state.settings = app.state.settings.model_copy(update={"access": Access.TOKENS})
    assert people.mark("bench", True).json()["kind"] == "not_markable"
    assert people.stranger.post(f"{API}/workers", json=hello("bench")).status_code == 200
    assert trusted_workers(people.ada) == {"bench": False}


def test_marks_and_results_at_the_same_time_agree_in_the_end(
    people: People, session: Session
) -> None:
    offers = []
    for number in range(1, 7):
        submit(people.ada, f"n{number}", {"optimizer.muon.learning_rate": number / 1000})
        offers.append(people.offer(is_trusted=False))
    statuses: list[int] = []

    def mark() -> None:
        for trusted in (True, False, True, False, True):
            statuses.append(people.mark("theirs", trusted).status_code)

    def report(mine: list[JobOffer | None]) -> None:
        for offer in mine:
            assert offer is not None
            finish(people.stranger, offer, 2.0)
            statuses.append(200)

    threads = [threading.Thread(target=mark)]
    threads += [threading.Thread(target=report, args=(offers[part::3],)) for part in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert statuses == [200] * 11
    session.rollback()
    measured = session.exec(select(Run.verification).where(Run.val_loss == 2.0)).all()
    assert measured == [Verification.TRUSTED] * 6
    assert people.ada.get(f"{API}/ledger/check").json()["faults"] == []


def test_a_mark_that_no_maintainer_made_is_a_fault_of_the_ledger(
    people: People, engine: Engine
) -> None:
    worker_id = register(people.stranger, "theirs")
    with write_session(engine) as session:
        session.get_one(WorkerToken, worker_id).trusted_by = "root"
    faults = people.ada.get(f"{API}/ledger/check").json()["faults"]
    assert faults == [f"the trust of {worker_id} was never entered."]
