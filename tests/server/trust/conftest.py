from collections.abc import Callable
from dataclasses import dataclass

import pytest
from fastapi import FastAPI
from httpx import Response
from sqlalchemy import Engine
from starlette.testclient import TestClient

from core.schema.access import Scope, TokenRequest
from core.schema.job import JobOffer
from core.schema.track import Track
from server import app as app_module
from server.access.tokens import issue
from server.app import create_app
from server.database import write_session
from server.settings import Access, ServerSettings
from tests.server.boards import BASELINE_LOSSES
from tests.server.factories import API, claim, finish, register, submit


@dataclass(frozen=True)
class People:
    """Everybody who has a token of a server, each with a client of their own."""

    ada: TestClient
    """Submits."""
    owner: TestClient
    """Holds the token of the workers `ours` and others that a maintainer trusts."""
    stranger: TestClient
    """Holds the token of the worker `theirs`."""
    root: TestClient
    """Maintains the server."""

    def mark(self, worker: str, trusted: bool) -> Response:
        """Let the maintainer mark a worker."""
        return self.root.post(f"{API}/workers/trust", json={"worker": worker, "trusted": trusted})

    def trust_ours(self) -> None:
        """Let the worker `ours` register and be trusted."""
        register(self.owner, "ours")
        assert self.mark("ours", True).status_code == 200

    def offer(self, is_trusted: bool) -> JobOffer | None:
        """The next job of the worker `ours`, or of `theirs`."""
        client, name = (self.owner, "ours") if is_trusted else (self.stranger, "theirs")
        return claim(client, register(client, name))

    def finish_next(self, loss: float, is_trusted: bool) -> JobOffer:
        """Let one of the two finish its next job, which must be there."""
        offer = self.offer(is_trusted)
        assert offer is not None
        finish(self.owner if is_trusted else self.stranger, offer, loss)
        return offer

    def measure_baseline(self) -> None:
        """Let the worker `ours` measure the baseline, four runs of which the board asks for."""
        submit(self.ada, "Baseline")
        for loss in BASELINE_LOSSES:
            self.finish_next(loss, is_trusted=True)


@pytest.fixture
def app(
    settings: ServerSettings, tracks: dict[str, Track], monkeypatch: pytest.MonkeyPatch
) -> FastAPI:
    """The application, which asks for tokens and queues runs by itself."""
    monkeypatch.setattr(app_module, "load_tracks", lambda folder: tracks)
    changes = {"access": Access.TOKENS, "queues_runs": True}
    return create_app(settings.model_copy(update=changes))


@pytest.fixture
def login(app: FastAPI, client: TestClient, engine: Engine) -> Callable[..., TestClient]:
    """Makes clients of the running application, each with a token of its own."""

    def log_in(name: str, scope: Scope) -> TestClient:
        with write_session(engine) as session:
            secret = issue(session, TokenRequest(name=name, scope=scope)).token
        headers = {"Authorization": f"Bearer {secret}"}
        return TestClient(app, raise_server_exceptions=False, headers=headers)

    return log_in


@pytest.fixture
def people(login: Callable[..., TestClient]) -> People:
    return People(
        ada=login("ada", Scope.SUBMIT),
        owner=login("owner", Scope.WORK),
        stranger=login("stranger", Scope.WORK),
        root=login("root", Scope.ADMIN),
    )
