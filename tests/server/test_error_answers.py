import json
import threading
from itertools import product

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DataError
from starlette.testclient import TestClient

from core.schema.job import ErrorBody
from server import database, write_turns
from server.app import create_app
from server.routes import health
from server.settings import ServerSettings
from tests.server.factories import (
    API,
    claim_one,
    hello,
    points,
    post_yaml,
    report,
    run_result,
    submission_yaml,
    submit,
)

HUGE = 10**30


def error(response: object, status: int, kind: str) -> ErrorBody:
    """The error of an answer that must be one, in JSON."""
    assert getattr(response, "status_code", None) == status, getattr(response, "text", "")
    body = ErrorBody.model_validate_json(getattr(response, "content", b""))
    assert body.kind == kind
    assert body.message
    assert "Traceback" not in body.message
    return body


def test_an_unknown_path_is_a_json_404_under_the_api(client: TestClient) -> None:
    for headers in ({}, {"Accept": "text/html"}):
        response = client.get(f"{API}/nothing", headers=headers)
        assert "/api/v1/nothing" in error(response, 404, "not_found").message


def test_a_browser_gets_a_page_for_what_does_not_exist(client: TestClient) -> None:
    response = client.get("/nothing", headers={"Accept": "text/html,*/*"})
    assert response.status_code == 404
    assert response.headers["content-type"].startswith("text/html")
    error(client.get("/nothing", headers={"Accept": "application/json"}), 404, "not_found")


def test_a_body_that_is_no_text_is_refused_as_documented(client: TestClient) -> None:
    headers = {"Content-Type": "application/json"}
    response = client.post(f"{API}/workers", content=b"\xff\xfe{", headers=headers)
    assert "UTF-8" in error(response, 422, "invalid_request").message


def test_a_wrong_method_names_the_right_one(client: TestClient) -> None:
    response = client.get(f"{API}/jobs/j_x/result")
    assert "POST" in error(response, 405, "method_not_allowed").message
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize("key", [None, "short", "k" * 81, "spaces are wrong", "ümlaut-ümlaut"])
def test_a_missing_or_wrong_idempotency_key_is_named(client: TestClient, key: str | None) -> None:
    headers = [] if key is None else [(b"Idempotency-Key", key.encode())]
    response = client.post(f"{API}/submissions", content=submission_yaml(), headers=headers)
    (problem,) = error(response, 422, "invalid_request").problems
    assert problem.path == "Idempotency-Key"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "must be a mapping"),
        (b"\xff\xfe", "not UTF-8"),
        (b"track: [debug", "not valid YAML"),
        (b"a: &x [1]\nb: *x\n", "anchors and aliases"),
        (b"!!python/object/apply:os.system ['true']", "tag"),
        (b"[" * 5000, "nested deeper"),
        (b"track: debug\ntrack: debug\n", "stands twice"),
        (b'name: "\\ud800"\n', ""),
        (b"\x00", ""),
        (b"? {a: b}\n: c\n", ""),
        (b"overrides: {model.dropout: .nan}\n", "not a finite number"),
        (b"overrides: {model.num_layers: 1e999}\n", "not a finite number"),
        (b"overrides: {model.num_layers: %s}\n" % (b"9" * 5000), "too many digits"),
    ],
)
def test_a_hostile_submission_is_refused_as_a_submission(
    client: TestClient, text: bytes, message: str
) -> None:
    body = error(post_yaml(client, text), 422, "invalid_submission")
    assert message in body.message
    assert body.problems


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"memory_bytes": -1}, "memory_bytes"),
        ({"memory_bytes": HUGE}, "memory_bytes"),
        ({"memory_bytes": "much"}, "memory_bytes"),
        ({"has_cuda": "perhaps"}, "has_cuda"),
        ({"name": ""}, "name"),
        ({"name": "\ud800"}, "name"),
        ({"code_commit": "c" * 81}, "code_commit"),
        ({"colour": "red"}, "colour"),
        ({"device": None}, "device"),
    ],
)
def test_a_wrong_field_of_a_message_is_named(
    client: TestClient, changes: dict[str, object], path: str
) -> None:
    headers = {"Content-Type": "application/json"}
    body = json.dumps(hello() | changes)
    response = client.post(f"{API}/workers", content=body, headers=headers)
    (problem,) = error(response, 422, "invalid_request").problems
    assert problem.path == path


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b'{"a":' * 3000])
def test_a_body_that_is_no_message_is_refused(client: TestClient, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    response = client.post(f"{API}/workers", content=body, headers=headers)
    assert response.status_code in (400, 422)
    ErrorBody.model_validate_json(response.content)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *product(("train_loss", "step"), ("NaN", "Infinity", "-Infinity", "1e999", '"x"')),
        ("step", str(HUGE)),
        ("tokens", str(HUGE)),
        ("step", "0"),
    ],
)
def test_a_metric_that_is_no_usable_number_is_refused(
    client: TestClient, field: str, value: str
) -> None:
    submit(client)
    offer = claim_one(client)
    point = points((1,))[0].model_dump()
    body = json.dumps({"lease_token": offer.lease_token, "points": [point | {field: "?"}]})
    response = client.post(
        f"{API}/jobs/{offer.job_id}/metrics",
        content=body.replace('"?"', value),
        headers={"Content-Type": "application/json"},
    )
    (problem,) = error(response, 422, "invalid_request").problems
    assert problem.path == f"points.0.{field}"


def test_a_message_without_its_content_type_is_told_so(client: TestClient) -> None:
    response = client.post(f"{API}/workers", content=json.dumps(hello()))
    assert "application/json" in error(response, 422, "invalid_request").message


def test_a_result_whose_perplexity_is_no_number_is_refused(client: TestClient) -> None:
    submit(client)
    offer = claim_one(client)
    result = run_result().model_dump(mode="json") | {"val_loss": 1e6}
    body = error(report(client, offer, "result", result=result), 422, "invalid_request")
    assert body.problems[0].path == "result.val_loss"


def test_numbers_beyond_the_database_are_refused_in_queries(client: TestClient) -> None:
    for query in ({"offset": HUGE}, {"limit": 0}, {"limit": "all"}):
        error(client.get(f"{API}/submissions", params=query), 422, "invalid_request")
    error(client.get(f"{API}/runs/r_x/log", params={"tail": HUGE}), 422, "invalid_request")


def test_a_nul_in_an_address_is_the_clients_fault(client: TestClient, store: str) -> None:
    status, kind = (404, "not_found") if store == "sqlite" else (422, "invalid_request")
    error(client.get(f"{API}/runs/r_%00"), status, kind)


def test_a_value_that_the_database_refuses_is_the_clients_fault(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> str:
        # What PostgreSQL says to the NUL above.
        raise DataError("SELECT", {}, ValueError("text fields cannot contain NUL"))

    monkeypatch.setattr(health, "code_commit", refuse)
    error(client.get(f"{API}/health"), 422, "invalid_request")


def test_a_fault_of_the_server_shows_no_traceback(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down() -> str:
        raise KeyError("a secret detail")

    monkeypatch.setattr(health, "code_commit", break_down)
    response = client.get(f"{API}/health")
    assert "secret" not in error(response, 500, "internal_error").message


@pytest.mark.parametrize("store", ["sqlite"])
def test_a_database_that_stays_busy_asks_to_try_again(
    settings: ServerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_turns, "BUSY_SECONDS", 0.05)
    app = create_app(settings)
    held, done = threading.Event(), threading.Event()

    def hold_the_lock() -> None:
        with database.write_session(app.state.engine) as session:
            session.execute(text("SELECT 1"))
            held.set()
            done.wait(30)

    with TestClient(app) as client:
        thread = threading.Thread(target=hold_the_lock)
        thread.start()
        held.wait(30)
        response = client.post(f"{API}/workers", json=hello())
        done.set()
        thread.join()
        error(response, 503, "database_unavailable")
        assert response.headers["retry-after"] == "2"
        assert client.post(f"{API}/workers", json=hello()).status_code == 200


def test_every_route_documents_its_errors(client: TestClient) -> None:
    paths = client.get(f"{API}/openapi.json").json()["paths"]
    reference = {"$ref": "#/components/schemas/ErrorBody"}
    assert len(paths) > 15
    for path, methods in paths.items():
        for method, operation in methods.items():
            answers = operation["responses"]
            for status in ("422", "429", "500", "503"):
                schema = answers[status]["content"]["application/json"]["schema"]
                assert schema == reference, (path, method, status)
            # Whoever is not known has used nothing.
            if "{" in path and path != f"{API}/quota/{{author}}":
                assert "404" in answers, (path, method)
