import logging
from collections.abc import Callable

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine
from starlette.testclient import TestClient

from core.schema.access import NewToken, Scope
from core.schema.job import ErrorBody
from server.access.tables import AccessToken
from server.access.tokens import revoke
from server.app import create_app
from server.database import write_session
from server.settings import ServerSettings
from server.tables import utc_now
from tests.server.access.conftest import Login
from tests.server.factories import (
    API,
    claim_one,
    finish,
    heartbeat,
    hello,
    post_yaml,
    register,
    send_log,
    submission_yaml,
    submit,
)

SUBMIT_ROUTES = (
    "/submissions",
    "/submissions/s_x/rerun",
    "/submissions/s_x/withdraw",
    "/submissions/s_x/cancel",
)
WORK_ROUTES = (
    "/workers",
    "/workers/w_x/claim",
    "/jobs/j_x/heartbeat",
    "/jobs/j_x/metrics",
    "/jobs/j_x/log",
    "/jobs/j_x/result",
    "/jobs/j_x/failure",
    "/jobs/j_x/release",
)
CHECKPOINT_ROUTE = "/jobs/j_x/checkpoint"
"""Written to by PUT, and read by the holder of a lease alone."""
ADMIN_ROUTES = ("/tokens", "/tokens/t_x/revoke", "/workers/trust")
READING = {"/tracks/{track}/nearest", "/check"}
"""Routes that answer a POST and write nothing."""


def refused(response: object, status: int, kind: str) -> str:
    """The message of a refusal."""
    assert getattr(response, "status_code", None) == status, getattr(response, "text", "")
    body = ErrorBody.model_validate_json(getattr(response, "content", b""))
    assert body.kind == kind
    return body.message


def test_every_writing_route_is_known_here(client: TestClient) -> None:
    paths = client.get(f"{API}/openapi.json").json()["paths"]
    writing = {path.removeprefix(API) for path, methods in paths.items() if set(methods) - {"get"}}
    known = {*SUBMIT_ROUTES, *WORK_ROUTES, *ADMIN_ROUTES, CHECKPOINT_ROUTE}
    for name, kind in (("submission", "s"), ("worker", "w"), ("job", "j"), ("token", "t")):
        writing = {path.replace(f"{{{name}_id}}", f"{kind}_x") for path in writing}
    assert writing == known | READING


def test_every_writing_route_documents_its_token_and_refusals(client: TestClient) -> None:
    paths = client.get(f"{API}/openapi.json").json()["paths"]
    for path, methods in paths.items():
        for method, operation in methods.items():
            asks = (method != "get" and path.removeprefix(API) not in READING) or path in (
                f"{API}/tokens",
                f"{API}/jobs/{{job_id}}/checkpoint",
            )
            assert ("security" in operation) == asks, (method, path)
            assert ({"401", "403"} <= set(operation["responses"])) == asks, (method, path)


@pytest.mark.parametrize("path", [*SUBMIT_ROUTES, *WORK_ROUTES, *ADMIN_ROUTES])
def test_nobody_writes_without_a_token(client: TestClient, path: str) -> None:
    response = client.post(f"{API}{path}", headers={"Idempotency-Key": "some-key"})
    refused(response, 401, "token_needed")
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("scope", "paths"),
    [
        (Scope.SUBMIT, (*WORK_ROUTES, *ADMIN_ROUTES)),
        (Scope.WORK, (*SUBMIT_ROUTES, *ADMIN_ROUTES)),
        (Scope.ADMIN, WORK_ROUTES),
    ],
)
def test_a_token_is_good_for_its_scope_alone(
    login: Login, scope: Scope, paths: tuple[str, ...]
) -> None:
    client = login(scope=scope)
    for path in paths:
        response = client.post(f"{API}{path}", headers={"Idempotency-Key": "some-key"})
        assert f"has {scope}" in refused(response, 403, "scope_needed")


def test_unknown_expired_and_revoked_tokens_get_the_same_answer(
    client: TestClient, engine: Engine, make: Callable[..., NewToken]
) -> None:
    revoked = make()
    with write_session(engine) as session:
        revoke(session, revoked.status.token_id)
    expired = make()
    with write_session(engine) as session:
        session.get_one(AccessToken, expired.status.token_id).expires_at = utc_now()

    def answers(*headers: str) -> set[str]:
        told = set()
        for sent in headers:
            response = client.post(f"{API}/workers", headers={"Authorization": sent})
            told.add(refused(response, 401, "token_needed"))
        return told

    tokens = ("fdl_unknown", revoked.token, expired.token)
    (ended,) = answers(*(f"Bearer {token}" for token in tokens))
    assert "has expired, was revoked, or is not of this server" in ended
    (without,) = answers("", "Bearer", "Basic abc")
    assert without.startswith("This needs an access token in the header")


def test_everything_is_read_without_a_token(client: TestClient, login: Login) -> None:
    submission_id = submit(login()).submission_id
    for path in ("/submissions", f"/submissions/{submission_id}", "/queue", "/workers", "/health"):
        assert client.get(f"{API}{path}").status_code == 200
    assert client.get(f"/submissions/{submission_id}").status_code == 200
    config = client.get(f"{API}/submissions/{submission_id}").json()["config"]
    assert client.post(f"{API}/tracks/debug/nearest", json=config).status_code == 200


def test_a_run_goes_its_whole_way_with_the_right_tokens(client: TestClient, login: Login) -> None:
    receipt, worker = submit(login()), login("bench", Scope.WORK)
    finish(worker, claim_one(worker))
    assert client.get(f"{API}/runs/{receipt.run_id}").json()["state"] == "succeeded"


def test_an_author_submits_under_the_tokens_name_alone(login: Login) -> None:
    response = post_yaml(login("bob"), submission_yaml(author="ada"))
    message = refused(response, 422, "invalid_submission")
    assert "line 3: author: 'ada' is not allowed" in message
    assert "comes from 'bob'; write bob" in message
    assert post_yaml(login("bob"), submission_yaml(author="bob")).status_code == 201


def test_an_administrator_submits_for_anybody(login: Login) -> None:
    assert submit(login("root", Scope.ADMIN), author="ada").submission_id


def test_an_anothers_key_gives_nothing(login: Login) -> None:
    submit(login("ada"), key="the-same-key")
    response = post_yaml(login("bob"), submission_yaml(overrides=None), "the-same-key")
    assert "author" in refused(response, 422, "invalid_submission")


def test_nobody_withdraws_reruns_or_cancels_for_another(login: Login) -> None:
    ada, bob = login("ada"), login("bob")
    address = f"{API}/submissions/{submit(ada).submission_id}"
    for what, body in (("withdraw", {"reason": "No."}), ("rerun", {})):
        response = bob.post(f"{address}/{what}", json={"author": "ada", **body})
        assert "'ada' is not allowed" in refused(response, 422, "invalid_submission")
    assert "'ada' or an admin" in refused(bob.post(f"{address}/cancel"), 403, "not_yours")
    assert ada.post(f"{address}/cancel").json()["state"] == "cancelled"


def test_an_administrator_cancels_anything(login: Login) -> None:
    address = f"{API}/submissions/{submit(login('ada')).submission_id}"
    response = login("root", Scope.ADMIN).post(f"{address}/cancel")
    assert response.json()["state"] == "cancelled"


def test_a_reports_token_must_be_the_one_that_holds_the_lease(login: Login) -> None:
    submit(login())
    ours, theirs = login("ours", Scope.WORK), login("theirs", Scope.WORK)
    offer = claim_one(ours, "bench")
    for response in (heartbeat(theirs, offer), send_log(theirs, offer, "forged\n")):
        refused(response, 403, "not_your_worker")
    assert heartbeat(ours, offer).status_code == 200
    assert "forged" not in ours.get(f"{API}/runs/{offer.run.run_id}/log").text


def test_a_late_report_is_refused_as_such(login: Login) -> None:
    submit(login())
    worker = login("ours", Scope.WORK)
    offer = claim_one(worker)
    stale = offer.model_copy(update={"lease_token": "stale"})
    refused(heartbeat(worker, stale), 409, "lease_lost")


def test_no_secret_is_logged(login: Login, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    author, worker = login(), login("bench", Scope.WORK)
    submit(author)
    finish(worker, claim_one(worker))
    refused(worker.post(f"{API}/submissions"), 403, "scope_needed")
    refused(author.post(f"{API}/workers", json=hello()), 403, "scope_needed")
    assert caplog.records
    for client in (author, worker):
        secret = client.headers["authorization"].removeprefix("Bearer ")
        for record in caplog.records:
            assert secret not in f"{record.getMessage()} {vars(record)}"


def test_an_open_server_asks_nobody_but_makes_no_tokens_either(settings: ServerSettings) -> None:
    with TestClient(create_app(settings)) as client:
        submit(client)
        assert claim_one(client).attempt == 1
        refused(client.post(f"{API}/tokens", json={}), 401, "token_needed")
        refused(client.get(f"{API}/tokens"), 401, "token_needed")


def test_the_same_worker_registers_on_a_server_that_was_open(
    app: FastAPI, settings: ServerSettings, login: Login
) -> None:
    with TestClient(create_app(settings)) as client:
        worker_id = register(client, "bench")
    worker = login("ours", Scope.WORK)
    refused(worker.post(f"{API}/workers/{worker_id}/claim"), 403, "not_your_worker")
    assert register(worker, "bench") == worker_id
    assert worker.post(f"{API}/workers/{worker_id}/claim").status_code == 204
