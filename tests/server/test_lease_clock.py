"""Clocks that are put forward and back."""

from datetime import timedelta

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine
from sqlmodel import Session, select
from starlette.testclient import TestClient

from core.schema.job import JobState
from server import expired_leases, job_queue, lease, lease_clock, reaper, tables
from server.canary import schedule
from server.database import write_session
from server.job_queue import extend_leases
from server.lease_clock import lease_now
from server.live.hub import Hub
from server.reaper import Reaper
from server.tables import Attempt, Job, utc_now
from tests.server.factories import claim, claim_one, finish, heartbeat, register, submit

HOUR = timedelta(hours=1)


@pytest.fixture
def put_clock(monkeypatch: pytest.MonkeyPatch):
    """Put the system's clock forward, or back."""

    def put(by: timedelta) -> None:
        for module in (expired_leases, job_queue, lease, reaper, schedule, tables, lease_clock):
            if hasattr(module, "utc_now"):
                monkeypatch.setattr(module, "utc_now", lambda: utc_now() + by)

    return put


@pytest.mark.parametrize("by", [HOUR, -HOUR])
def test_no_lease_ends_because_the_clock_is_put(
    client: TestClient, engine: Engine, session: Session, put_clock, by: timedelta
) -> None:
    submit(client)
    submit(client)
    offer = claim_one(client)
    put_clock(by)
    Reaper(engine, 5.0, {}, False, Hub())._pass()
    other = claim(client, register(client, "other"))
    assert other is not None
    assert other.job_id != offer.job_id
    assert heartbeat(client, offer).status_code == 200
    put_clock(timedelta(0))
    Reaper(engine, 5.0, {}, False, Hub())._pass()
    for each in (offer, other):
        finish(client, each)
    assert session.exec(select(Job.state)).all() == [JobState.SUCCEEDED] * 2
    assert len(session.exec(select(Attempt)).all()) == 2


@pytest.mark.parametrize("by", [HOUR, -HOUR])
def test_a_start_with_another_clock_gives_every_lease_its_whole_length(
    client: TestClient, engine: Engine, session: Session, by: timedelta
) -> None:
    submit(client)
    offer = claim_one(client)
    with write_session(engine) as writer:
        # Of a process whose clock was wrong.
        writer.get_one(Job, offer.job_id).lease_expires_at = lease_now() + by
    until = lease_now() + timedelta(seconds=90)
    with write_session(engine) as writer:
        extend_leases(writer, until)
    assert session.exec(select(Job.lease_expires_at)).one() == until
    Reaper(engine, 5.0, {}, False, Hub())._pass()
    session.rollback()
    assert session.exec(select(Job.state)).one() is JobState.RUNNING


def test_the_clock_of_leases_goes_on(app: FastAPI) -> None:
    first = lease_now()
    assert first <= lease_now()
    assert abs(lease_now() - utc_now()) < HOUR
