"""A database that takes nothing any more: what is said, and what is there afterwards."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.exc import InternalError
from sqlmodel import Session, col, select
from starlette.testclient import TestClient

from core.schema.job import JobState
from server.ledger.check import check_ledger
from server.routes import health
from server.tables import Job, Metric
from tests.server.factories import (
    API,
    claim_one,
    heartbeat,
    points,
    post_yaml,
    run_result,
    send_points,
    send_result,
    submission_yaml,
    submit,
)

Break = Callable[[str], Callable[[], None]]
READ_ONLY = "PRAGMA query_only = ON"
FULL = "PRAGMA max_page_count = 1"
"""SQLite takes the present size for the least, so that no page can be added."""
FAULTS = {READ_ONLY: "the server's database is read-only", FULL: "the server's disk is full"}


@pytest.fixture
def broken(engine: Engine) -> Break:
    """Let every connection begin with a statement; calling the answer mends it."""

    def start(statement: str) -> Callable[[], None]:
        def set_up(connection: Any, record: object) -> None:
            connection.execute(statement).close()

        event.listen(engine, "connect", set_up)
        engine.dispose()

        def mend() -> None:
            event.remove(engine, "connect", set_up)
            engine.dispose()

        return mend

    return start


@pytest.mark.parametrize("statement", list(FAULTS))
def test_a_submission_is_refused_whole_and_accepted_later(
    client: TestClient, session: Session, broken: Break, statement: str, caplog: Any
) -> None:
    mend = broken(statement)
    # More than the free places of the pages that are there.
    text = submission_yaml() + "# " + "x" * 50_000
    answers = [post_yaml(client, text, f"key-of-mine-{n}") for n in range(3)]
    mend()
    for answer in answers:
        assert answer.status_code == 503
        assert answer.json()["kind"] == "database_unavailable"
        assert FAULTS[statement] in answer.json()["message"].lower()
        assert answer.headers["retry-after"] == "2"
    assert "the database refused" in caplog.text
    assert session.exec(select(Job)).all() == []
    again = [post_yaml(client, text, f"key-of-mine-{n}") for n in range(3)]
    assert [answer.status_code for answer in again] == [201] * 3
    session.rollback()
    assert check_ledger(session).faults == ()


@pytest.mark.parametrize("statement", list(FAULTS))
def test_reports_of_a_worker_arrive_once_when_the_disk_is_mended(
    client: TestClient, session: Session, broken: Break, statement: str
) -> None:
    submit(client)
    offer = claim_one(client)
    assert send_points(client, offer, points(range(1, 11))).status_code == 204
    mend = broken(statement)
    many = points(range(1, 1001))
    assert send_points(client, offer, many).status_code == 503
    read = client.get(f"{API}/runs/{offer.run.run_id}/metrics")
    assert len(read.json()["points"]) == 10
    mend()
    for _ in range(2):
        assert send_points(client, offer, many).status_code == 204
        assert send_result(client, offer, run_result(offer.run.seed)).status_code == 204
    steps = session.exec(select(Metric.step).order_by(col(Metric.step))).all()
    assert steps == list(range(1, 1001))
    assert session.exec(select(Job.state)).one() is JobState.SUCCEEDED
    assert check_ledger(session).faults == ()


def test_a_heartbeat_is_refused_while_the_database_is_read_only(
    client: TestClient, broken: Break
) -> None:
    submit(client)
    offer = claim_one(client)
    mend = broken(READ_ONLY)
    assert heartbeat(client, offer).status_code == 503
    mend()
    assert heartbeat(client, offer).json() == {"cancel": False}


def test_a_replica_that_takes_no_writes_is_unavailable_too(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse() -> str:
        # What PostgreSQL says after it became a standby.
        cause = Exception("cannot execute INSERT in a read-only transaction")
        raise InternalError("INSERT", {}, cause)

    monkeypatch.setattr(health, "code_commit", refuse)
    answer = client.get(f"{API}/health")
    assert answer.status_code == 503
    assert "read-only" in answer.json()["message"]
    assert caplog.records[-1].levelno == logging.ERROR
