from collections.abc import Mapping, Sequence
from datetime import timedelta

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine
from sqlmodel import Session, select
from starlette.testclient import TestClient

from core.schema.job import JobState
from core.schema.result import FailureKind
from core.schema.track import Track
from server.database import write_session
from server.expired_leases import requeue_expired
from server.job_queue import extend_leases
from server.tables import Attempt, AttemptOutcome, Job, Run, RunPurpose, utc_now
from tests.server.boards import (
    BASELINE_LOSSES,
    NORM,
    finish_next,
    queueing,
    verdicts,
    work_off,
)
from tests.server.factories import (
    API,
    claim,
    claim_one,
    finish,
    heartbeat,
    register,
    report,
    run_result,
    send_failure,
    send_result,
    submit,
)

LEARNING_RATE = "optimizer.muon.learning_rate"


def state(session: Session) -> JobState:
    session.rollback()
    return session.exec(select(Job.state)).one()


def expire(engine: Engine, tracks: Mapping[str, Track] | None = None) -> int:
    """Requeue as if 91 seconds had passed since the last report of every job.

    With tracks, what verdicts wait for is made up for.
    """
    when = utc_now() + timedelta(seconds=91)
    with write_session(engine) as session:
        return requeue_expired(session, when, tracks or {}, queues_runs=tracks is not None)


def test_an_expired_lease_puts_the_job_first_in_the_queue_again(
    client: TestClient, engine: Engine
) -> None:
    first = submit(client)
    submit(client, "Later", {LEARNING_RATE: 0.02})
    lost = claim_one(client)
    assert expire(engine) == 1
    again = claim_one(client, "other")
    assert (again.run.run_id, again.attempt) == (first.run_id, 2)
    assert again.lease_token != lost.lease_token


def test_a_lease_that_is_renewed_in_time_stays(client: TestClient, engine: Engine) -> None:
    submit(client)
    offer = claim_one(client)
    with write_session(engine) as session:
        job = session.get_one(Job, offer.job_id)
        job.lease_expires_at = utc_now() + timedelta(seconds=1)
    assert heartbeat(client, offer).status_code == 200
    with write_session(engine) as session:
        assert requeue_expired(session, utc_now() + timedelta(seconds=80), {}, False) == 0


def test_claiming_takes_expired_jobs_without_waiting_for_the_reaper(
    client: TestClient, engine: Engine
) -> None:
    submit(client)
    lost = claim_one(client)
    with write_session(engine) as session:
        session.get_one(Job, lost.job_id).lease_expires_at = utc_now() - timedelta(seconds=1)
    assert claim_one(client, "other").attempt == 2


def test_a_late_report_is_refused_and_nothing_of_it_is_stored(
    client: TestClient, engine: Engine, session: Session
) -> None:
    submit(client)
    lost = claim_one(client)
    expire(engine)
    current = claim_one(client, "other")
    late = run_result(1000, val_loss=1.0)
    for response in (
        heartbeat(client, lost),
        report(client, lost, "metrics", points=[]),
        report(client, lost, "log", offset=0, text="late"),
        send_result(client, lost, late),
        send_failure(client, lost, FailureKind.DIVERGED),
        report(client, lost, "release"),
    ):
        assert (response.status_code, response.json()["kind"]) == (409, "lease_lost")
    finish(client, current, val_loss=2.0)
    assert session.exec(select(Run.val_loss)).one() == 2.0


def test_a_late_report_is_refused_before_anyone_else_claims(
    client: TestClient, engine: Engine, session: Session
) -> None:
    submit(client)
    lost = claim_one(client)
    expire(engine)
    assert send_result(client, lost, run_result()).status_code == 409
    assert state(session) is JobState.QUEUED


def test_three_lost_workers_fail_the_run(
    client: TestClient, engine: Engine, session: Session
) -> None:
    receipt = submit(client)
    for attempt in (1, 2, 3):
        assert claim_one(client).attempt == attempt
        assert expire(engine) == 1
    assert claim(client, register(client)) is None
    status = client.get(f"{API}/runs/{receipt.run_id}").json()
    assert (status["state"], status["failure"], status["attempt"]) == ("failed", "worker_lost", 3)
    outcomes = session.exec(select(Attempt.outcome)).all()
    assert outcomes == [AttemptOutcome.LEASE_EXPIRED] * 3


def test_leases_outlast_the_time_in_which_the_server_was_down(
    client: TestClient, engine: Engine
) -> None:
    submit(client)
    offer = claim_one(client)
    now = utc_now()
    with write_session(engine) as session:
        session.get_one(Job, offer.job_id).lease_expires_at = now - timedelta(hours=1)
        extend_leases(session, now + timedelta(seconds=90))
        assert requeue_expired(session, now + timedelta(seconds=89), {}, False) == 0
    assert heartbeat(client, offer).status_code == 200


def lose(client: TestClient, engine: Engine, tracks: Mapping[str, Track], attempts: int) -> None:
    """Claim and lose so many attempts."""
    for _ in range(attempts):
        assert claim(client, register(client)) is not None
        assert expire(engine, tracks) == 1


@pytest.fixture
def busy(app: FastAPI, client: TestClient) -> TestClient:
    """A client of a server that queues runs by itself."""
    queueing(app)
    return client


def count(session: Session, purpose: RunPurpose) -> int:
    session.rollback()
    return len(session.exec(select(Run).where(Run.purpose == purpose)).all())


def test_another_seed_makes_up_for_a_baseline_run_that_was_lost_three_times(
    busy: TestClient, engine: Engine, session: Session, tracks: dict[str, Track]
) -> None:
    submit(busy, "Gain", NORM)
    finish_next(busy, 1.5)
    lose(busy, engine, tracks, 2)
    assert count(session, RunPurpose.BASELINE) == 5
    lose(busy, engine, tracks, 1)
    assert count(session, RunPurpose.BASELINE) == 6
    work_off(busy, {"Baseline": (*BASELINE_LOSSES, 2.0), "Gain": [1.5]})
    assert dict(verdicts(busy))["Gain"]["verdict"]["verdict"] == "better"


def test_a_worker_that_claims_makes_up_for_a_run_that_a_verdict_waits_for(
    busy: TestClient, engine: Engine, session: Session, tracks: dict[str, Track]
) -> None:
    submit(busy, "Gain", NORM)
    for loss in (1.5, *BASELINE_LOSSES):
        finish_next(busy, loss)
    lose(busy, engine, tracks, 2)
    offer = claim_one(busy)
    with write_session(engine) as writer:
        writer.get_one(Job, offer.job_id).lease_expires_at = utc_now() - timedelta(seconds=1)
    assert claim_one(busy).run.seed > offer.run.seed
    assert count(session, RunPurpose.VERDICT) == 3


@pytest.mark.parametrize(
    ("purpose", "losses", "most"),
    # Two rounds of five; two for the third look, and four that may be lost in all.
    [(RunPurpose.BASELINE, (1.5,), 10), (RunPurpose.VERDICT, (1.5, *BASELINE_LOSSES), 5)],
)
def test_runs_that_are_always_lost_come_to_an_end(
    busy: TestClient,
    engine: Engine,
    session: Session,
    tracks: dict[str, Track],
    purpose: RunPurpose,
    losses: Sequence[float],
    most: int,
) -> None:
    submit(busy, "Gain", NORM)
    for loss in losses:
        finish_next(busy, loss)
    lose(busy, engine, tracks, 3 * most)
    assert claim(busy, register(busy)) is None
    assert count(session, purpose) == most
    assert busy.get(f"{API}/ledger/check").json()["faults"] == []


def test_a_run_that_only_its_author_waits_for_is_not_made_up_for(
    busy: TestClient, engine: Engine, session: Session, tracks: dict[str, Track]
) -> None:
    submit(busy, "Gain", NORM)
    lose(busy, engine, tracks, 3)
    assert len(session.exec(select(Run)).all()) == 1
