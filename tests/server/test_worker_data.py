"""Runs that a board waits for, and workers that have its data, other data, or no result yet."""

import pytest
from fastapi import FastAPI
from sqlalchemy import literal, select
from sqlmodel import Session
from starlette.testclient import TestClient

from server.worker_data import newest_key
from tests.server.boards import NORM, RELU, finish_next, queueing
from tests.server.canary.workers import is_canary, next_offer
from tests.server.factories import (
    claim,
    claim_one,
    data_identity,
    finish,
    register,
    submit,
    submit_and_finish,
)

MIRROR = {"validation": "e"}


def key(letter: str) -> str:
    return data_identity(letter).comparability_key("debug", 1)


def key_of(session: Session, worker_id: str, version: int = 1) -> str | None:
    """The key of a worker's newest result on the debug track."""
    session.rollback()
    newest = newest_key(literal(worker_id), literal("debug"), literal(version))
    return session.connection().execute(select(newest)).scalar_one()


@pytest.fixture
def waiting(app: FastAPI, client: TestClient) -> TestClient:
    """A client of a server whose worker `mirror` has data `e`, and whose board `b` waits."""
    submit(client, "Elsewhere", RELU)
    finish(client, claim_one(client, "mirror"), 2.0, **MIRROR)
    queueing(app)
    submit(client, "Gain", NORM)
    finish_next(client, 1.5)
    return client


def test_what_a_board_waits_for_goes_to_no_worker_of_other_data(waiting: TestClient) -> None:
    assert claim(waiting, register(waiting, "mirror")) is None
    queued = waiting.get("/api/v1/queue").json()["queued"]
    assert [entry["only_key"] for entry in queued] == [key("b")] * 5
    assert f"with the data of key <code>{key('b')[:8]}" in waiting.get("/queue").text


def test_a_worker_of_the_boards_data_or_without_a_result_may_have_it(waiting: TestClient) -> None:
    assert claim(waiting, register(waiting, "bench")) is not None
    assert claim(waiting, register(waiting, "new")) is not None


def test_a_worker_of_other_data_goes_on_with_what_no_board_waits_for(waiting: TestClient) -> None:
    new = submit(waiting, "New", {"model.dropout": 0.1})
    assert claim_one(waiting, "mirror").run.run_id == new.run_id
    # Nor are those in front of it in its way, once its own board waits for something.
    assert claim(waiting, register(waiting, "mirror")) is None


def test_the_newest_result_tells_which_data_a_worker_has(
    client: TestClient, session: Session
) -> None:
    worker = register(client)
    assert key_of(session, worker) is None
    for letter in "beb":
        submit_and_finish(client, "Again", NORM, validation=letter)
        assert key_of(session, worker) == key(letter)
    assert key_of(session, register(client, "other")) is None


def test_a_canary_tells_it_too(app: FastAPI, client: TestClient, session: Session) -> None:
    for _ in range(4):
        finish(client, next_offer(client), 2.0)
    app.state.settings = app.state.settings.model_copy(update={"canary_hours": 24.0})
    offer = next_offer(client)
    assert is_canary(session, offer)
    finish(client, offer, 2.0, **MIRROR)
    assert key_of(session, register(client)) == key("e")


def test_a_result_on_an_older_version_tells_nothing(client: TestClient, session: Session) -> None:
    submit_and_finish(client, "Gain", NORM)
    assert key_of(session, register(client), version=2) is None
