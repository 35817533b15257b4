import pytest
from fastapi import FastAPI
from sqlalchemy import Engine
from starlette.testclient import TestClient

from core.schema.access import Scope, TokenRequest
from server.access.tokens import issue
from server.database import write_session
from tests.server.factories import API


@pytest.fixture
def admin(app: FastAPI, client: TestClient, engine: Engine) -> TestClient:
    with write_session(engine) as session:
        made = issue(session, TokenRequest(name="root", scope=Scope.ADMIN))
    return TestClient(app, headers={"Authorization": f"Bearer {made.token}"})


def test_a_token_is_made_listed_and_revoked(admin: TestClient) -> None:
    made = admin.post(f"{API}/tokens", json={"name": "ada", "scope": "submit", "days": 30})
    assert made.status_code == 201
    token_id = made.json()["status"]["token_id"]
    listed = admin.get(f"{API}/tokens")
    assert {token["name"]: token["scope"] for token in listed.json()["tokens"]} == {
        "ada": "submit",
        "root": "admin",
    }
    assert made.json()["token"] not in listed.text
    revoked = admin.post(f"{API}/tokens/{token_id}/revoke").json()
    assert revoked["revoked_at"] is not None


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", "a b"), ("name", ""), ("scope", "everything"), ("days", 0), ("days", 3651)],
)
def test_a_wrong_field_of_a_token_is_named(admin: TestClient, field: str, value: object) -> None:
    body = {"name": "ada", "scope": "submit", "days": 30} | {field: value}
    response = admin.post(f"{API}/tokens", json=body)
    assert response.status_code == 422
    assert response.json()["problems"][0]["path"] == field


def test_a_token_that_was_never_made_is_not_found(admin: TestClient) -> None:
    response = admin.post(f"{API}/tokens/t_x/revoke")
    assert (response.status_code, response.json()["kind"]) == (404, "not_found")
