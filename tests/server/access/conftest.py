from collections.abc import Callable

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine
from starlette.testclient import TestClient

from core.schema.access import NewToken, Scope, TokenRequest
from core.schema.track import Track
from server import app as app_module
from server.access.tokens import issue
from server.app import create_app
from server.database import write_session
from server.settings import Access, ServerSettings

Login = Callable[..., TestClient]
"""Takes a name and a scope; gives a client that sends such a token."""


@pytest.fixture
def app(
    settings: ServerSettings, tracks: dict[str, Track], monkeypatch: pytest.MonkeyPatch
) -> FastAPI:
    """The application, which asks for tokens."""
    monkeypatch.setattr(app_module, "load_tracks", lambda folder: tracks)
    return create_app(settings.model_copy(update={"access": Access.TOKENS}))


@pytest.fixture
def make(engine: Engine) -> Callable[..., NewToken]:
    """Makes a token."""

    def make_token(name: str = "ada", scope: Scope = Scope.SUBMIT, days: int = 90) -> NewToken:
        with write_session(engine) as session:
            return issue(session, TokenRequest(name=name, scope=scope, days=days))

    return make_token


@pytest.fixture
def login(app: FastAPI, client: TestClient, make: Callable[..., NewToken]) -> Login:
    """Clients of the running application, each with a token of its own."""

    def log_in(name: str = "ada", scope: Scope = Scope.SUBMIT) -> TestClient:
        headers = {"Authorization": f"Bearer {make(name, scope).token}"}
        return TestClient(app, raise_server_exceptions=False, headers=headers)

    return log_in
