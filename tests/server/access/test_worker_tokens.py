from collections.abc import Callable

from sqlalchemy import Engine
from sqlmodel import select

from core.schema.access import NewToken, Scope
from server.access.tables import AccessToken
from server.access.tokens import revoke
from server.database import write_session
from tests.server.access.conftest import Login
from tests.server.factories import API, claim_one, heartbeat, hello, register, submit

Make = Callable[..., NewToken]


def revoke_all(engine: Engine, name: str) -> None:
    with write_session(engine) as session:
        for token_id in session.exec(select(AccessToken.id).where(AccessToken.name == name)):
            revoke(session, token_id)


def test_a_workers_name_stays_with_the_token_that_took_it(login: Login) -> None:
    ours, theirs = login("ours", Scope.WORK), login("theirs", Scope.WORK)
    worker_id = register(ours, "bench")
    response = theirs.post(f"{API}/workers", json=hello("bench", device="stolen"))
    assert (response.status_code, response.json()["kind"]) == (403, "not_your_worker")
    assert "give this worker another name" in response.json()["message"]
    assert register(ours, "bench") == worker_id
    devices = [w["device"] for w in ours.get(f"{API}/workers").json()["workers"]]
    assert devices == ["cpu"]


def test_one_token_has_many_workers(login: Login) -> None:
    worker = login("ours", Scope.WORK)
    assert register(worker, "first") != register(worker, "second")


def test_nobody_claims_for_anothers_worker(login: Login) -> None:
    submit(login())
    worker_id = register(login("ours", Scope.WORK), "bench")
    response = login("theirs", Scope.WORK).post(f"{API}/workers/{worker_id}/claim")
    assert (response.status_code, response.json()["kind"]) == (403, "not_your_worker")


def test_a_worker_that_does_not_exist_is_not_found(login: Login) -> None:
    response = login("ours", Scope.WORK).post(f"{API}/workers/w_x/claim")
    assert (response.status_code, response.json()["kind"]) == (404, "not_found")


def test_a_worker_follows_its_owner_to_a_new_token_and_goes_on(
    engine: Engine, login: Login
) -> None:
    submit(login())
    offer = claim_one(login("ours", Scope.WORK), "bench")
    revoke_all(engine, "ours")
    stranger = login("theirs", Scope.WORK)
    assert stranger.post(f"{API}/workers", json=hello("bench")).status_code == 403
    renewed = login("ours", Scope.WORK)
    assert heartbeat(renewed, offer).status_code == 403
    register(renewed, "bench")
    assert heartbeat(renewed, offer).status_code == 200


def test_a_second_token_of_the_same_name_takes_nothing_from_the_first(login: Login) -> None:
    register(login("ours", Scope.WORK), "bench")
    response = login("ours", Scope.WORK).post(f"{API}/workers", json=hello("bench"))
    assert response.status_code == 403


def test_a_revoked_token_is_refused_at_once(engine: Engine, login: Login) -> None:
    submit(login())
    worker = login("ours", Scope.WORK)
    offer = claim_one(worker, "bench")
    revoke_all(engine, "ours")
    assert heartbeat(worker, offer).status_code == 401
