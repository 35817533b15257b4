import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from starlette.testclient import TestClient

from core.schema.result import FailureKind
from server.live import hub as hub_module
from server.web_server import WebServer
from tests.server.factories import (
    API,
    claim_one,
    finish,
    heartbeat,
    points,
    send_failure,
    send_log,
    send_points,
    submit,
)

EVENTS = f"{API}/events"

SILENCE_SECONDS = 2.5
"""Long enough for a machine that has other things to do."""


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """The application on a port, in a thread: a test client waits for the end of an answer."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=10)
        server = WebServer(config, app.state.hub)
        thread = threading.Thread(target=server.run, args=[[listener]])
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=20)


def heard(url: str, topics: list[str], act: Callable[[], object]) -> list[str]:
    """Topics of the events that come after `act`, each once, until there is silence."""
    names: list[str] = []
    query = [("topic", topic) for topic in topics]
    with (
        httpx.Client(timeout=httpx.Timeout(20.0, read=SILENCE_SECONDS)) as client,
        client.stream("GET", f"{url}{EVENTS}", params=query) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert next(lines).startswith("retry:")
        act()
        try:
            for line in lines:
                if line.startswith("data: "):
                    names.append(line.removeprefix("data: "))
        except httpx.ReadTimeout:
            pass
    return sorted(set(names))


def test_every_report_is_heard_under_its_topics(app: FastAPI) -> None:
    with serving(app) as url, httpx.Client(base_url=url, timeout=20.0) as board:
        client: TestClient = board  # type: ignore[assignment]
        receipt = submit(client)
        run = f"run:{receipt.run_id}"
        every = ["queue", run, "track:debug"]
        topics = [*every, "run:r_other", "track:gpu_24gb"]
        assert heard(url, topics, lambda: submit(client)) == ["queue", "track:debug"]
        offer = claim_one(client)
        assert offer.run.run_id == receipt.run_id
        assert heard(url, topics, lambda: heartbeat(client, offer)) == every
        assert heard(url, topics, lambda: send_points(client, offer, points())) == [run]
        assert heard(url, topics, lambda: send_log(client, offer, "step\n")) == [run]
        assert heard(url, topics, lambda: finish(client, offer)) == every
        withdrawal = f"{API}/submissions/{receipt.submission_id}/withdraw"
        asked = {"author": "ada", "reason": "A mistake."}
        assert heard(url, topics, lambda: client.post(withdrawal, json=asked)) == every


def test_claims_failures_and_cancelling_are_heard(app: FastAPI) -> None:
    with serving(app) as url, httpx.Client(base_url=url, timeout=20.0) as board:
        client: TestClient = board  # type: ignore[assignment]
        first = submit(client)
        every = ["queue", f"run:{first.run_id}", "track:debug"]
        offers = []
        assert heard(url, every, lambda: offers.append(claim_one(client))) == every
        assert (
            heard(url, every, lambda: send_failure(client, offers[0], FailureKind.DIVERGED))
            == every
        )
        second = submit(client)
        every[1] = f"run:{second.run_id}"
        cancel = f"{API}/submissions/{second.submission_id}/cancel"
        assert heard(url, every, lambda: client.post(cancel)) == every


def test_the_server_stops_at_once_with_open_streams(app: FastAPI) -> None:
    with ExitStack() as stack:
        client = stack.enter_context(httpx.Client(timeout=20))
        with serving(app) as url:
            answers = [
                stack.enter_context(client.stream("GET", f"{url}{EVENTS}?topic=queue"))
                for _ in range(3)
            ]
            began = time.monotonic()
        assert time.monotonic() - began < 2.0
        assert [answer.read() for answer in answers] == [b"retry: 3000\n\n"] * 3


def test_more_connections_than_may_wait_are_told_so(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "MAX_LISTENERS", 0)
    answer = client.get(EVENTS, params={"topic": "queue"})
    assert answer.status_code == 503
    assert answer.json()["kind"] == "too_many_listeners"
    assert answer.headers["Retry-After"] == "30"
    assert "0 connections wait for changes, and no more may" in answer.json()["message"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 422),
        ("topic=ledger", 422),
        ("topic=run:r/1", 422),
        ("&".join(f"topic=run:r_{number}" for number in range(33)), 422),
        ("topic=track:nowhere", 404),
    ],
)
def test_topics_are_checked(client: TestClient, query: str, status: int) -> None:
    answer = client.get(f"{EVENTS}?{query}")
    assert answer.status_code == status
    assert "topic" in answer.text or "nowhere" in answer.text
