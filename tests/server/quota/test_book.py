"""What attempts are charged, and that the book balances with them."""

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine
from sqlmodel import Session, select
from starlette.testclient import TestClient

from core.schema.job import JobOffer
from core.schema.result import FailureKind
from server.canary.runs import ask_for_canary
from server.database import write_session
from server.quota.book import payer
from server.quota.tables import Charge, ChargeKind
from server.tables import Attempt, Job, RunPurpose, Worker
from tests.server.boards import BASELINE_LOSSES, NORM, RELU, queueing, work_off
from tests.server.factories import (
    API,
    claim,
    claim_one,
    finish,
    register,
    report,
    run_result,
    send_failure,
    send_result,
    submit,
)
from tests.server.quota.conftest import take_minutes, work_minutes
from tests.server.test_expired_leases import expire


def book(session: Session) -> list[tuple[str, str, int]]:
    """Author, kind and whole minutes of each row, in order."""
    session.rollback()
    rows = session.exec(select(Charge).order_by(Charge.id)).all()
    return [(row.author, row.kind.value, round(row.gpu_seconds / 60)) for row in rows]


def test_a_result_is_charged_with_the_time_under_lease(
    client: TestClient, engine: Engine, session: Session
) -> None:
    submit(client, author="ada")
    work_minutes(client, engine, 10)
    assert book(session) == [("ada", "charge", 10)]


@pytest.mark.parametrize("kind", [FailureKind.DIVERGED, FailureKind.OUT_OF_MEMORY])
def test_a_failure_of_the_submission_is_charged(
    client: TestClient, engine: Engine, session: Session, kind: FailureKind
) -> None:
    submit(client, author="ada")
    offer = claim_one(client)
    take_minutes(engine, offer, 4)
    for _ in range(2):
        send_failure(client, offer, kind)
    assert book(session) == [("ada", "charge", 4)]


@pytest.mark.parametrize("kind", [FailureKind.INTERNAL_ERROR, FailureKind.DATA_UNAVAILABLE])
def test_a_failure_of_the_platform_is_refunded_on_each_attempt(
    client: TestClient, engine: Engine, session: Session, kind: FailureKind
) -> None:
    submit(client, author="ada")
    for minutes in (3, 5):
        offer = claim_one(client)
        take_minutes(engine, offer, minutes)
        send_failure(client, offer, kind)
    work_minutes(client, engine, 7)
    assert book(session) == [
        ("ada", "charge", 3),
        ("ada", "refund", 3),
        ("ada", "charge", 5),
        ("ada", "refund", 5),
        ("ada", "charge", 7),
    ]


def test_a_lost_worker_and_a_job_handed_back_are_refunded(
    client: TestClient, engine: Engine, session: Session
) -> None:
    submit(client, author="ada")
    offer = claim_one(client)
    take_minutes(engine, offer, 2)
    expire(engine)
    offer = claim_one(client)
    take_minutes(engine, offer, 6)
    for _ in range(2):
        assert report(client, offer, "release").status_code == 204
    assert [row[1:] for row in book(session)] == [
        ("charge", 2),
        ("refund", 2),
        ("charge", 6),
        ("refund", 6),
    ]


@pytest.fixture
def four_gpus(app: FastAPI) -> None:
    """The debug track allows four GPUs, between which its batches can be shared out."""
    track = app.state.tracks["debug"]
    rules = track.rules.model_copy(update={"max_devices": 4})
    app.state.tracks["debug"] = track.model_copy(update={"rules": rules})


def claim_with(client: TestClient, engine: Engine, num_devices: int, minutes: float) -> JobOffer:
    """Let a worker with so many GPUs claim the next job, so many minutes ago."""
    offer = claim(client, register(client), num_devices=num_devices)
    assert offer is not None
    take_minutes(engine, offer, minutes)
    return offer


def send_result_of(client: TestClient, offer: JobOffer, num_devices: int) -> None:
    """Report a result that was measured on so many GPUs."""
    result = run_result(offer.run.seed)
    provenance = result.provenance.model_copy(update={"num_devices": num_devices})
    send_result(client, offer, result.model_copy(update={"provenance": provenance}))


@pytest.mark.usefixtures("four_gpus")
def test_of_several_gpus_each_counts_that_the_result_tells_of(
    client: TestClient, engine: Engine, session: Session
) -> None:
    submit(client, author="ada")
    offer = claim_with(client, engine, num_devices=4, minutes=10)
    send_result_of(client, offer, num_devices=2)
    assert book(session) == [("ada", "charge", 20)]


@pytest.mark.usefixtures("four_gpus")
def test_no_worker_makes_an_author_pay_for_more_gpus_than_the_track_allows(
    client: TestClient, engine: Engine, session: Session
) -> None:
    for _ in range(2):
        submit(client, author="ada")
    offer = claim_with(client, engine, num_devices=1024, minutes=10)
    send_failure(client, offer, FailureKind.DIVERGED)
    offer = claim_with(client, engine, num_devices=1, minutes=10)
    send_result_of(client, offer, num_devices=1_000_000)
    assert book(session) == [("ada", "charge", 40), ("ada", "charge", 40)]


@pytest.mark.usefixtures("four_gpus")
def test_an_attempt_without_a_result_is_charged_by_the_gpus_of_its_claim(
    client: TestClient, engine: Engine, session: Session
) -> None:
    submit(client, author="ada")
    claim_with(client, engine, num_devices=4, minutes=2)
    expire(engine)
    offer = claim_with(client, engine, num_devices=2, minutes=3)
    assert report(client, offer, "release").status_code == 204
    offer = claim_with(client, engine, num_devices=4, minutes=5)
    send_failure(client, offer, FailureKind.INTERNAL_ERROR)
    # Batches cannot be shared out between three.
    offer = claim_with(client, engine, num_devices=3, minutes=7)
    send_failure(client, offer, FailureKind.DIVERGED)
    assert [row[1:] for row in book(session)] == [
        ("charge", 8),
        ("refund", 8),
        ("charge", 6),
        ("refund", 6),
        ("charge", 20),
        ("refund", 20),
        ("charge", 14),
    ]
    status = client.get(f"{API}/quota/ada").json()
    assert round(status["used_minutes"]) == 14


@pytest.mark.usefixtures("four_gpus")
def test_a_worker_that_tells_nothing_has_one_gpu(
    client: TestClient, engine: Engine, session: Session
) -> None:
    submit(client, author="ada")
    offer = claim_one(client)
    take_minutes(engine, offer, 4)
    send_failure(client, offer, FailureKind.DIVERGED)
    assert book(session) == [("ada", "charge", 4)]


def test_what_the_server_asked_for_is_charged_to_nobody(
    app: FastAPI, client: TestClient, session: Session
) -> None:
    queueing(app)
    submit(client, "Gain", NORM, author="ada")
    work_off(client, {"Baseline": BASELINE_LOSSES, "Gain": [1.5, 1.5, 1.5]})
    jobs = session.exec(select(Job)).all()
    assert len(jobs) == 8
    assert [author for author, _, _ in book(session)] == ["ada"]
    assert {purpose for purpose in RunPurpose if payer(purpose, "ada")} == {
        RunPurpose.SUBMISSION,
        RunPurpose.RERUN,
    }


def test_a_rerun_is_charged_to_whoever_asked(client: TestClient, session: Session) -> None:
    receipt = submit(client, author="ada")
    finish(client, claim_one(client))
    client.post(f"{API}/submissions/{receipt.submission_id}/rerun", json={"author": "eve"})
    for _ in range(2):
        finish(client, claim_one(client))
    assert [author for author, _, _ in book(session)] == ["ada", "eve", "eve"]


def test_a_canary_is_charged_to_nobody(
    client: TestClient, engine: Engine, session: Session, tracks: dict
) -> None:
    worker_id = register(client)
    with write_session(engine) as writer:
        ask_for_canary(writer, writer.get_one(Worker, worker_id), tracks["debug"])
    finish(client, claim_one(client))
    assert book(session) == []


def test_charges_less_refunds_are_what_the_attempts_used(
    client: TestClient, engine: Engine, session: Session
) -> None:
    for number, config in enumerate((NORM, RELU, {}), start=1):
        submit(client, f"Row {number}", config, author=f"author{number}")
        offer = claim_one(client)
        take_minutes(engine, offer, number)
        send_failure(client, offer, FailureKind.INTERNAL_ERROR)
        work_minutes(client, engine, 10 * number)
    session.rollback()
    balance = sum(
        -row.gpu_seconds if row.kind is ChargeKind.REFUND else row.gpu_seconds
        for row in session.exec(select(Charge))
    )
    used = sum(
        (attempt.ended_at - attempt.started_at).total_seconds()
        for attempt in session.exec(select(Attempt).where(Attempt.failure == None))  # noqa: E711
        if attempt.ended_at is not None
    )
    assert balance == pytest.approx(used)
    assert round(used / 60) == 60
