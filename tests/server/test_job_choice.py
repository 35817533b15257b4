"""What it costs to choose a job, however long the queue is."""

from fastapi import FastAPI
from sqlalchemy import Engine
from starlette.testclient import TestClient

from server.settings import ServerSettings
from tests.server.canary.workers import RATE, next_offer
from tests.server.factories import claim, finish, register, submit
from tests.server.statements import sent_statements

LEASE = 8
"""Worker with what there is to tidy, job, attempt, lease, and three of the ledger."""
CANARY = 2
"""The last canary, and the results since then."""


def queue(client: TestClient, number: int = 3) -> None:
    for place in range(number):
        submit(client, f"n{place}", {RATE: 0.01 + place / 100})


def test_a_claim_sends_eight_statements(client: TestClient, engine: Engine) -> None:
    queue(client)
    worker = register(client)
    with sent_statements(engine) as statements:
        assert claim(client, worker) is not None
    assert len(statements) <= LEASE


def test_two_more_see_whether_a_canary_is_due(
    settings: ServerSettings, app: FastAPI, client: TestClient, engine: Engine
) -> None:
    app.state.settings = settings.model_copy(update={"canary_hours": 24.0})
    finish(client, next_offer(client))
    queue(client)
    worker = register(client)
    with sent_statements(engine) as statements:
        assert claim(client, worker) is not None
    assert len(statements) <= LEASE + CANARY


def test_the_queue_is_read_in_its_order(client: TestClient, engine: Engine) -> None:
    queue(client)
    worker = register(client)
    with sent_statements(engine) as statements:
        assert claim(client, worker) is not None
    (choice,) = [statement for statement in statements if "ORDER BY job.priority" in statement]
    with engine.connect() as connection:
        values = (None,) * choice.count("?")
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {choice}", values)
        steps = [row[3] for row in plan]
    assert steps[0] == "SEARCH job USING INDEX ix_job_claim_order (state=?)"
    assert "USE TEMP B-TREE FOR ORDER BY" not in steps
