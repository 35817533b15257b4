import logging
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlmodel import Session, select
from starlette.testclient import TestClient

from core.schema.job import JobOffer, ResultReport
from core.schema.track import Track
from server.board.tables import BoardEntry
from server.database import read_session, write_session
from server.ledger.check import check_ledger
from server.results import store_result
from server.settings import ServerSettings
from server.settlement import settler as settler_module
from server.settlement.settling import any_unsettled, settle
from server.settlement.tables import UnsettledResult
from server.tables import Run, RunPurpose
from server.verdict.tables import JudgementRow
from tests.server.boards import NORM, measure_baseline, queueing, verdicts
from tests.server.conftest import Serve
from tests.server.factories import API, claim_one, run_result, send_result, submit

Store = Callable[[JobOffer, float], None]
RATE = "optimizer.muon.learning_rate"


@pytest.fixture
def leave(engine: Engine, tracks: dict[str, Track], settings: ServerSettings) -> Store:
    """Store a result as a server does that is killed before it settles it."""

    def leave(offer: JobOffer, val_loss: float) -> None:
        result = run_result(offer.run.seed, val_loss)
        report = ResultReport(lease_token=offer.lease_token, result=result)
        with write_session(engine) as session:
            store_result(session, offer.job_id, report, tracks, settings)

    return leave


def offers(client: TestClient, count: int) -> list[JobOffer]:
    """As many running jobs, of an experiment each."""
    for number in range(count):
        submit(client, f"n{number}", {RATE: 0.011 + number / 100})
    return [claim_one(client, f"bench {number}") for number in range(count)]


def rows(session: Session) -> list[str]:
    session.rollback()
    return sorted(session.exec(select(BoardEntry.name)))


def unsettled(session: Session) -> list[str]:
    session.rollback()
    return sorted(session.exec(select(UnsettledResult.run_id)))


def test_a_result_is_settled_when_its_answer_comes(client: TestClient, session: Session) -> None:
    (offer,) = offers(client, 1)
    assert send_result(client, offer, run_result(offer.run.seed)).status_code == 204
    assert (rows(session), unsettled(session)) == (["n0"], [])


def test_what_a_killed_server_left_is_settled_at_the_next_start(
    client: TestClient, session: Session, leave: Store, serve: Serve, tracks: dict[str, Track]
) -> None:
    measure_baseline(client)
    submit(client, "Gain", NORM)
    offer = claim_one(client)
    leave(offer, 1.5)
    # Stored for good, and a repetition is known by its lease.
    status = client.get(f"{API}/runs/{offer.run.run_id}").json()
    assert (status["state"], status["result"]["val_loss"]) == ("succeeded", 1.5)
    assert (rows(session), unsettled(session)) == (["Baseline"], [offer.run.run_id])
    assert check_ledger(session).faults == ()
    session.rollback()
    with serve(tracks) as again:
        assert unsettled(session) == []
        assert [name for name, _ in verdicts(again)] == ["Gain"]
        assert rows(session) == ["Baseline", "Gain"]
        assert session.exec(select(JudgementRow.verdict)).one() is not None
        assert again.get(f"{API}/ledger/check").json()["faults"] == []


def test_a_kill_after_the_commit_loses_neither_the_result_nor_what_follows(
    client: TestClient, engine: Engine, settings: ServerSettings, tracks: dict[str, Track]
) -> None:
    (offer,) = offers(client, 1)
    report = ResultReport(lease_token=offer.lease_token, result=run_result(offer.run.seed))
    script = f"""
import os, signal
from core.schema.job import ResultReport
from server.database import create_engine, write_session
from server.results import store_result
from server.settings import ServerSettings
report = ResultReport.model_validate_json({report.model_dump_json()!r})
with write_session(create_engine({settings.database_url!r})) as session:
    store_result(session, {offer.job_id!r}, report, {{}}, ServerSettings())
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", script], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    with read_session(engine) as session:
        assert any_unsettled(session)
        assert session.get_one(Run, offer.run.run_id).val_loss == 2.0
    client.app.state.settler.settle(tracks, queues_runs=False)  # type: ignore[attr-defined]
    with read_session(engine) as session:
        assert rows(session) == ["n0"]
        assert not any_unsettled(session)
        assert check_ledger(session).faults == ()


def test_a_repeated_result_adds_no_note(client: TestClient, session: Session, leave: Store) -> None:
    (offer,) = offers(client, 1)
    leave(offer, 2.0)
    leave(offer, 2.0)
    assert unsettled(session) == [offer.run.run_id]


def test_one_pass_settles_all_that_wait(
    app: FastAPI, client: TestClient, session: Session, leave: Store, monkeypatch: Any
) -> None:
    passes: list[int] = []

    def count(session: Session, results: Any, *rest: Any) -> None:
        passes.append(len(results))
        settle(session, results, *rest)

    monkeypatch.setattr(settler_module, "settle", count)
    for offer in offers(client, 3):
        leave(offer, 2.0)
    app.state.settler.settle(app.state.tracks, queues_runs=False)
    assert [number for number in passes if number] == [3]
    assert rows(session) == ["n0", "n1", "n2"]


def test_results_at_the_same_time_are_all_settled(client: TestClient, session: Session) -> None:
    with ThreadPoolExecutor(6) as threads:
        sent = threads.map(
            lambda offer: send_result(client, offer, run_result(offer.run.seed)).status_code,
            offers(client, 6),
        )
        assert set(sent) == {204}
    # A reader waits for the last pass.
    board = client.get(f"{API}/tracks/debug/leaderboard").json()
    assert len(board["rows"]) == 6
    assert unsettled(session) == []
    assert rows(session) == [f"n{number}" for number in range(6)]


def test_runs_that_a_result_asks_for_are_queued_once(
    app: FastAPI, client: TestClient, session: Session, leave: Store
) -> None:
    queueing(app)
    for offer in offers(client, 2):
        leave(offer, 2.0)
    for _ in range(2):
        app.state.settler.settle(app.state.tracks, queues_runs=True)
    purposes = session.exec(select(Run.purpose)).all()
    assert purposes.count(RunPurpose.BASELINE) == 5


def test_a_result_that_cannot_be_settled_keeps_no_other_back(
    app: FastAPI,
    client: TestClient,
    session: Session,
    leave: Store,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    first, second, third = offers(client, 3)

    def fail_on_second(session: Session, results: Any, *rest: Any) -> None:
        if any(result.run_id == second.run.run_id for result in results):
            raise KeyError("a fault of the server")
        settle(session, results, *rest)

    monkeypatch.setattr(settler_module, "settle", fail_on_second)
    for offer in (first, second):
        leave(offer, 2.0)
    assert send_result(client, third, run_result(third.run.seed)).status_code == 204
    assert rows(session) == ["n0", "n2"]
    assert unsettled(session) == [second.run.run_id]
    (logged,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert logged.__dict__["run_id"] == second.run.run_id


def test_a_database_that_is_busy_is_asked_again(
    app: FastAPI,
    client: TestClient,
    session: Session,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (offer,) = offers(client, 1)

    def fail(*_: Any) -> None:
        raise OperationalError("BEGIN", None, Exception("database is locked"))

    with monkeypatch.context() as busy:
        busy.setattr(settler_module, "settle", fail)
        # Its result is stored, whatever becomes of the rest.
        assert send_result(client, offer, run_result(offer.run.seed)).status_code == 204
    assert rows(session) == []
    app.state.settler.settle(app.state.tracks, queues_runs=False)
    assert rows(session) == ["n0"]


@pytest.mark.timeout(30)
def test_a_fault_before_any_result_is_read_ends_the_pass(
    app: FastAPI,
    client: TestClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: Any) -> None:
        raise DatabaseError("SELECT", None, Exception("database disk image is malformed"))

    monkeypatch.setattr(settler_module, "first_unsettled", fail)
    (offer,) = offers(client, 1)
    assert send_result(client, offer, run_result(offer.run.seed)).status_code == 204
    assert [r.message for r in caplog.records if r.levelno == logging.ERROR] == [
        "results cannot be looked for"
    ]
