import asyncio
import logging
from datetime import timedelta
from threading import Event

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError
from sqlmodel import Session, select
from starlette.testclient import TestClient

from core.schema.job import JobState
from server import reaper as reaper_module
from server.database import write_session
from server.live.hub import Hub
from server.reaper import Reaper
from server.tables import Job, utc_now
from tests.server.factories import API, claim_one, submit

FAST = 0.01


async def run_for(reaper: Reaper, seconds: float) -> bool:
    """Run a reaper for a while; whether it was still alive at the end."""
    reaper.start()
    await asyncio.sleep(seconds)
    alive = reaper.is_alive
    if alive:
        await reaper.stop()
    return alive


def test_the_reaper_requeues_expired_leases(
    client: TestClient, engine: Engine, session: Session
) -> None:
    submit(client)
    offer = claim_one(client)
    with write_session(engine) as writer:
        writer.get_one(Job, offer.job_id).lease_expires_at = utc_now() - timedelta(seconds=1)
    assert asyncio.run(run_for(Reaper(engine, FAST, {}, False, Hub()), 0.3))
    assert session.exec(select(Job.state)).one() is JobState.QUEUED


def test_the_reaper_outlives_a_database_that_fails(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls = 0

    def fail(*arguments: object) -> int:
        nonlocal calls
        calls += 1
        raise OperationalError("UPDATE", {}, Exception("disk I/O error"))

    monkeypatch.setattr(reaper_module, "requeue_expired", fail)
    assert asyncio.run(run_for(Reaper(engine, FAST, {}, False, Hub()), 0.3))
    assert calls > 1
    assert "expired leases were not requeued" in caplog.text


def test_a_reaper_that_dies_says_so(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def break_down(*arguments: object) -> int:
        raise KeyError("a fault of the program")

    monkeypatch.setattr(reaper_module, "requeue_expired", break_down)
    assert not asyncio.run(run_for(Reaper(engine, FAST, {}, False, Hub()), 0.3))
    (record,) = [record for record in caplog.records if record.levelno == logging.CRITICAL]
    assert "leases no longer expire" in record.message


def test_health_tells_a_dead_reaper(client: TestClient, app: FastAPI) -> None:
    assert client.get(f"{API}/health").json()["status"] == "ok"
    assert client.portal is not None
    client.portal.call(app.state.reaper.stop)
    response = client.get(f"{API}/health")
    assert (response.status_code, response.json()["kind"]) == (503, "reaper_died")


def test_a_reaper_that_stops_waits_for_the_pass_under_way(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_end, ended = Event(), Event(), Event()

    def pass_slowly(*arguments: object) -> int:
        begun.set()
        may_end.wait(10)
        ended.set()
        return 0

    async def stop_within_a_pass() -> tuple[bool, bool]:
        reaper = Reaper(engine, FAST, {}, False, Hub())
        reaper.start()
        await asyncio.to_thread(begun.wait, 10)
        stopping = asyncio.create_task(reaper.stop())
        await asyncio.sleep(0.2)
        was_done = stopping.done()
        may_end.set()
        await stopping
        return was_done, ended.is_set()

    monkeypatch.setattr(reaper_module, "requeue_expired", pass_slowly)
    assert asyncio.run(stop_within_a_pass()) == (False, True)


def test_an_app_that_is_started_twice_ends_the_reaper_of_each_start(app: FastAPI) -> None:
    with TestClient(app):
        first = app.state.reaper
        with TestClient(app):
            second = app.state.reaper
        assert (first.is_alive, second.is_alive) == (True, False)
    assert not first.is_alive


def test_a_reaper_that_was_stopped_or_died_can_be_stopped_again(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*arguments: object) -> int:
        raise KeyError("a fault of the program")

    reaper = Reaper(engine, FAST, {}, False, Hub())
    monkeypatch.setattr(reaper_module, "requeue_expired", break_down)
    assert not asyncio.run(run_for(reaper, 0.3))
    for _ in range(2):
        # In another event loop, as if the app had been started twice.
        asyncio.run(asyncio.wait_for(reaper.stop(), 5))
