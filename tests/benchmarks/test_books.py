from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from starlette.testclient import TestClient

from benchmarks.books import counts, imbalances
from benchmarks.tiny_track import write_tiny_track
from server.app import create_app
from server.settings import ServerSettings
from tests.server.factories import (
    claim_one,
    points,
    run_result,
    send_log,
    send_points,
    send_result,
    submit,
)

NUM_STEPS = 4


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    write_tiny_track(tmp_path / "tracks")
    settings = ServerSettings(
        database_url=f"sqlite:///{tmp_path}/board.sqlite",
        tracks_folder=tmp_path / "tracks",
        queues_runs=False,
        canary_hours=0.0,
    )
    with TestClient(create_app(settings)) as client:
        yield client


@pytest.fixture
def engine(client: TestClient) -> Engine:
    return client.app.state.engine


@pytest.fixture
def accepted(client: TestClient) -> dict[str, str]:
    """One run that ended, one that goes on, and one that waits."""
    receipts = [submit(client) for _ in range(3)]
    offer = claim_one(client)
    curve = points(range(1, NUM_STEPS + 1))
    send_points(client, offer, curve)
    send_log(client, offer, "one\n")
    send_log(client, offer, "two\n", offset=4)
    send_result(client, offer, run_result(offer.run.seed, curve[-1].val_loss))
    claim_one(client)
    return {receipt.submission_id: receipt.run_id for receipt in receipts}


def test_books_that_balance(engine: Engine, accepted: dict[str, str]) -> None:
    assert imbalances(engine, accepted, NUM_STEPS) == []
    told = counts(engine)
    assert told["runs"] == "3: 3 submission"
    assert told["jobs"] == "3: 1 succeeded, 1 running, 1 queued"
    assert told["attempts"] == "2: 1 result, 1 None"
    assert told["charges and refunds"] == "1: 1 charge"
    assert told["metric points"] == "4"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("DELETE FROM metric WHERE step = 2", "has 3 of 4 points"),
        ("UPDATE metric SET val_loss = 9 WHERE step = 4", "has another loss in its curve"),
        ("DELETE FROM attempt WHERE outcome IS NULL", "counts 1 attempts and has 0"),
        ("UPDATE attempt SET outcome = NULL", "is succeeded and has 1 open attempts"),
        ("UPDATE attempt SET outcome = 'failure'", "has 0 attempts with a result"),
        ("UPDATE attempt SET outcome = 'result'", "is running and has 1 attempts with a result"),
        ("UPDATE run SET val_loss = 1 WHERE val_loss IS NULL", "and its loss is 1.0"),
        ("DELETE FROM job WHERE state = 'queued'", "has no job"),
        ("DELETE FROM submission", "was acknowledged and is not there"),
        ('UPDATE log_piece SET "offset" = 5 WHERE "offset" = 4', "has a gap"),
        ('DELETE FROM log_piece WHERE "offset" = 0', "has a gap"),
        ("DELETE FROM charge", "ended by result, and booked is nothing"),
        ("UPDATE charge SET kind = 'refund'", "ended by result, and booked is refund"),
        ("UPDATE charge SET author = 'eve'", "its charge is of 'eve'"),
        ("UPDATE charge SET gpu_seconds = gpu_seconds + 1", "and its charge is"),
        ("UPDATE charge SET attempt = 2", "attempt 2 of job"),
        ("UPDATE attempt SET failure = 'worker_lost'", "ended by worker_lost"),
        ("UPDATE ledger_entry SET subject = 'x' WHERE sequence = 3", "entry 3"),
    ],
)
def test_what_does_not_balance_is_named(
    engine: Engine, accepted: dict[str, str], change: str, problem: str
) -> None:
    with engine.begin() as connection:
        connection.execute(text("PRAGMA foreign_keys = OFF"))
        assert connection.execute(text(change)).rowcount >= 1
    assert any(problem in found for found in imbalances(engine, accepted, NUM_STEPS))


def test_a_submission_that_nobody_acknowledged_is_named(
    engine: Engine, accepted: dict[str, str]
) -> None:
    submission, _ = accepted.popitem()
    assert imbalances(engine, accepted, NUM_STEPS) == [
        f"submission {submission} was never acknowledged"
    ]


def test_a_run_that_is_given_up_too_early_is_named(
    engine: Engine, accepted: dict[str, str]
) -> None:
    with engine.begin() as connection:
        for table in ("attempt", "job"):
            connection.execute(
                text(f"UPDATE {table} SET failure = 'worker_lost' WHERE lease_token IS NOT NULL")
            )
        connection.execute(text("UPDATE job SET state = 'failed' WHERE state = 'running'"))
        connection.execute(text("UPDATE attempt SET outcome = 'failure' WHERE outcome IS NULL"))
    found = imbalances(engine, accepted, NUM_STEPS)
    assert any("was given up after 1 faults" in problem for problem in found)
