import re
from collections.abc import Callable
from dataclasses import replace

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import Engine
from starlette.testclient import TestClient

from core.schema.access import Scope, TokenRequest
from core.schema.track import Track
from server import app as app_module
from server.access.tokens import issue
from server.app import create_app
from server.database import write_session
from server.settings import Access, ServerSettings
from server.sign_in.github import GitHub
from server.sign_in.setup import CALLBACK
from tests.server.sign_in.fake_github import CLIENT_ID, CLIENT_SECRET, FakeGitHub

SESSION_KEY = "the-session-key-of-thirty-two-characters"

Visit = Callable[..., TestClient]
"""Takes a login and GitHub's number of it; gives a browser that is signed in."""


@pytest.fixture
def settings(settings: ServerSettings) -> ServerSettings:
    """Settings with sign-in."""
    return settings.model_copy(
        update={
            "access": Access.TOKENS,
            "github_client_id": CLIENT_ID,
            "github_client_secret": SecretStr(CLIENT_SECRET),
            "session_key": SecretStr(SESSION_KEY),
        }
    )


@pytest.fixture
def github() -> FakeGitHub:
    return FakeGitHub()


@pytest.fixture
def app(
    settings: ServerSettings,
    tracks: dict[str, Track],
    github: FakeGitHub,
    monkeypatch: pytest.MonkeyPatch,
) -> FastAPI:
    """The application, on which people sign in with the fake GitHub."""
    monkeypatch.setattr(app_module, "load_tracks", lambda folder: tracks)
    return connect(create_app(settings), settings, github)


def connect(app: FastAPI, settings: ServerSettings, github: FakeGitHub) -> FastAPI:
    """Put the fake in GitHub's place."""
    redirect = f"{settings.base_url}{CALLBACK}"
    fake = GitHub(CLIENT_ID, CLIENT_SECRET, redirect, httpx.MockTransport(github))
    app.state.sign_in = replace(app.state.sign_in, github=fake)
    return app


@pytest.fixture
def visit(app: FastAPI, client: TestClient, github: FakeGitHub) -> Visit:
    """Browsers of the running application, each with a session of its own."""

    def sign_in(login: str = "ada", github_id: int = 1) -> TestClient:
        github.login, github.github_id = login, github_id
        browser = TestClient(app, raise_server_exceptions=False, headers={"Accept": "text/html"})
        begun = browser.get("/sign-in", follow_redirects=False)
        back = github.agree(begun.headers["Location"])
        ended = browser.get(CALLBACK, params=back, follow_redirects=False)
        assert ended.status_code == 303, ended.text
        return browser

    return sign_in


@pytest.fixture
def administrator(app: FastAPI, client: TestClient, engine: Engine) -> TestClient:
    """A client with the token of an administrator."""
    with write_session(engine) as session:
        made = issue(session, TokenRequest(name="root", scope=Scope.ADMIN, days=1))
    headers = {"Authorization": f"Bearer {made.token}"}
    return TestClient(app, raise_server_exceptions=False, headers=headers)


def form_token(browser: TestClient, path: str = "/") -> str:
    """What the forms of a page carry."""
    found = re.search(r'name="csrf_token" value="([^"]+)"', browser.get(path).text)
    assert found
    return found[1]
