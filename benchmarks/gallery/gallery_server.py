"""A server on which everything can be seen: with tokens, and with people who are signed in."""

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
from fastapi import Response

from benchmarks.gallery.busy_board import Hands
from benchmarks.processes import Processes
from core.schema.access import Scope, TokenRequest
from core.tracks import BASELINES
from server.access.tokens import issue
from server.database import create_engine, write_session
from server.sign_in.setup import SESSION_SECONDS
from server.sign_in.signed_cookie import SignedCookie

SESSION_KEY = "the-session-key-of-thirty-two-characters"
COOKIE = "session"
LEASE_SECONDS = "86400"
"""No lease ends while somebody looks."""


class GalleryServer(NamedTuple):
    """A server that runs."""

    url: str
    hands: Hands
    """Who may do everything there."""


@contextmanager
def serving_gallery(folder: Path, **settings: str) -> Iterator[GalleryServer]:
    """Serve a folder's database, a new one if it has none."""
    processes = Processes(folder, BASELINES)
    processes.set(
        access="tokens",
        github_client_id="client",
        github_client_secret="secret",
        session_key=SESSION_KEY,
        lease_seconds=LEASE_SECONDS,
        public_url="",
        host="127.0.0.1",
        **settings,
    )
    try:
        processes.start_server()
        with ExitStack() as clients:
            people, workers = (
                clients.enter_context(_client(processes.url, token))
                for token in _issue_tokens(folder, (Scope.ADMIN, Scope.WORK))
            )
            yield GalleryServer(processes.url, Hands(people, workers))
    finally:
        processes.stop()


def session_cookie(author: str) -> str:
    """What the browser of somebody who is signed in sends as `COOKIE`."""
    answer = Response()
    SignedCookie(COOKIE, SESSION_KEY, SESSION_SECONDS, over_https=False).write(answer, author)
    found = re.match(rf"{COOKIE}=([^;]+)", answer.headers["set-cookie"])
    assert found is not None
    return found[1]


def _client(url: str, token: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=url, headers=headers, timeout=30.0)


def _issue_tokens(folder: Path, scopes: Sequence[Scope]) -> list[str]:
    engine = create_engine(f"sqlite:///{folder / 'board.sqlite'}")
    with write_session(engine) as session:
        asked = [TokenRequest(name=scope.value, scope=scope, days=1) for scope in scopes]
        tokens = [issue(session, request).token for request in asked]
    engine.dispose()
    return tokens
