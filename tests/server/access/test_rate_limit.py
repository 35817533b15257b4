from collections.abc import Callable, Iterator

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, event
from starlette.testclient import TestClient

from core.schema.access import NewToken, Scope
from core.schema.job import ErrorBody
from core.schema.track import Track
from server import app as app_module
from server.access.rate_limit import RateLimits
from server.app import create_app
from server.settings import Access, ServerSettings
from tests.server.access.conftest import Login
from tests.server.factories import API, claim_one, finish, heartbeat, hello, submit

SLOW = {"access": Access.TOKENS, "writes_per_minute": 12, "reads_per_minute": 24}
"""Two writes and four reads in ten seconds."""


@pytest.fixture
def app(
    settings: ServerSettings, tracks: dict[str, Track], monkeypatch: pytest.MonkeyPatch
) -> FastAPI:
    """The application with narrow limits, at a moment that lasts."""
    monkeypatch.setattr(app_module, "load_tracks", lambda folder: tracks)
    narrow = settings.model_copy(update=SLOW)
    app = create_app(narrow)
    app.state.rate_limits = RateLimits(narrow, lambda: 0.0)
    return app


def from_address(app: FastAPI, address: str) -> TestClient:
    return TestClient(app, client=(address, 50_000))


def num_answered(client: TestClient, path: str = f"{API}/tracks") -> int:
    """Reads until the first refusal."""
    answered = 0
    while client.get(path).status_code != 429:
        answered += 1
    return answered


def test_who_asks_too_much_is_told_when_to_come_back(client: TestClient) -> None:
    for _ in range(4):
        assert client.get(f"{API}/tracks").status_code == 200
    response = client.get(f"{API}/tracks")
    assert response.status_code == 429
    body = ErrorBody.model_validate_json(response.content)
    assert body.kind == "too_many_requests"
    assert response.headers["retry-after"] == "3"  # one in two and a half seconds
    assert "try again in 3 s" in body.message


def test_a_reader_of_pages_gets_a_page(client: TestClient) -> None:
    assert num_answered(client, "/queue") == 4
    response = client.get("/queue", headers={"Accept": "text/html"})
    assert response.status_code == 429
    assert response.headers["content-type"].startswith("text/html")


def test_reading_leaves_writing_alone(login: Login) -> None:
    author = login()
    assert num_answered(author) == 4
    assert submit(author).submission_id


def test_each_token_has_its_own_limit_from_one_address(login: Login) -> None:
    ada, bob = login("ada"), login("bob")
    assert num_answered(ada) == 4
    assert num_answered(bob) == 4


def test_an_address_is_one_client_however_many_tokens_it_makes_up(app: FastAPI) -> None:
    with from_address(app, "192.0.2.1") as client:
        codes = [
            client.post(
                f"{API}/workers", json=hello(), headers={"Authorization": f"Bearer fdl_{guess}"}
            ).status_code
            for guess in range(4)
        ]
    assert codes == [401, 401, 429, 429]


def test_addresses_of_one_ipv6_network_are_one_client(app: FastAPI) -> None:
    with from_address(app, "2001:db8:0:1::1") as client:
        assert num_answered(client) == 4
        assert num_answered(from_address(app, "2001:db8:0:1:ffff::2")) == 0
        assert num_answered(from_address(app, "2001:db8:0:2::1")) == 4


def test_other_addresses_are_other_clients(app: FastAPI) -> None:
    with from_address(app, "192.0.2.1") as client:
        assert num_answered(client) == 4
        assert num_answered(from_address(app, "192.0.2.2")) == 4
        assert num_answered(from_address(app, "::ffff:192.0.2.9")) == 4
        assert num_answered(from_address(app, "::ffff:192.0.2.10")) == 4


@pytest.fixture
def default_limits(
    settings: ServerSettings, tracks: dict[str, Track], monkeypatch: pytest.MonkeyPatch
) -> Iterator[TestClient]:
    monkeypatch.setattr(app_module, "load_tracks", lambda folder: tracks)
    tokens = settings.model_copy(update={"access": Access.TOKENS})
    with TestClient(create_app(tokens)) as client:
        yield client


def test_the_default_limits_do_not_disturb_a_worker(
    default_limits: TestClient, engine: Engine, make: Callable[..., NewToken]
) -> None:
    author = {"Authorization": f"Bearer {make().token}"}
    worker = {"Authorization": f"Bearer {make('bench', Scope.WORK).token}"}
    default_limits.headers.update(author)
    submit(default_limits)
    default_limits.headers.update(worker)
    offer = claim_one(default_limits)
    assert {heartbeat(default_limits, offer).status_code for _ in range(100)} == {200}
    finish(default_limits, offer)


def test_an_open_server_has_no_limits(settings: ServerSettings) -> None:
    narrow = settings.model_copy(update={**SLOW, "access": Access.OPEN})
    with TestClient(create_app(narrow)) as client:
        assert {client.get(f"{API}/tracks").status_code for _ in range(10)} == {200}


def test_a_reader_without_a_token_costs_no_query(client: TestClient, engine: Engine) -> None:
    statements: list[str] = []

    def note(*call: object) -> None:
        statements.append(str(call[2]))

    event.listen(engine, "before_cursor_execute", note)
    client.get(f"{API}/tracks")
    event.remove(engine, "before_cursor_execute", note)
    assert statements == []
