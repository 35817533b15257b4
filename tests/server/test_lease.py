import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select
from starlette.testclient import TestClient

from core.schema.job import JobState
from core.schema.result import FailureKind
from server.tables import Attempt, AttemptOutcome, Job, Run, Worker
from tests.server.factories import (
    API,
    claim,
    claim_one,
    finish,
    heartbeat,
    points,
    register,
    report,
    run_result,
    send_failure,
    send_log,
    send_points,
    send_result,
    submit,
)

SUBMISSION_FAULTS = (
    FailureKind.INVALID_CONFIG,
    FailureKind.OUT_OF_MEMORY,
    FailureKind.DIVERGED,
    FailureKind.BUDGET_EXCEEDED,
)
PLATFORM_FAULTS = (
    FailureKind.WORKER_LOST,
    FailureKind.DATA_UNAVAILABLE,
    FailureKind.INTERNAL_ERROR,
)


def job(session: Session) -> Job:
    session.rollback()
    return session.exec(select(Job)).one()


def test_a_heartbeat_renews_the_lease_and_tells_the_progress(
    client: TestClient, session: Session
) -> None:
    receipt = submit(client)
    offer = claim_one(client)
    before = job(session).lease_expires_at
    seen = session.exec(select(Worker.last_seen_at)).one()
    assert before is not None
    assert heartbeat(client, offer, "evaluating", 3, 8).json() == {"cancel": False}
    after = job(session).lease_expires_at
    assert after is not None
    assert after > before
    assert session.exec(select(Worker.last_seen_at)).one() > seen
    status = client.get(f"{API}/runs/{receipt.run_id}").json()
    assert (status["phase"], status["completed"], status["total"]) == ("evaluating", 3, 8)


@pytest.mark.parametrize("what", ["metrics", "log"])
def test_any_report_renews_the_lease(client: TestClient, session: Session, what: str) -> None:
    submit(client)
    offer = claim_one(client)
    before = job(session).lease_expires_at
    assert before is not None
    if what == "metrics":
        send_points(client, offer, points())
    else:
        send_log(client, offer, "hello")
    after = job(session).lease_expires_at
    assert after is not None
    assert after > before


@pytest.mark.parametrize("kind", SUBMISSION_FAULTS)
def test_a_fault_of_the_submission_is_never_retried(
    client: TestClient, session: Session, kind: FailureKind
) -> None:
    receipt = submit(client)
    offer = claim_one(client)
    assert send_failure(client, offer, kind, "Loss is NaN in step 7.").status_code == 204
    assert claim(client, register(client)) is None
    status = client.get(f"{API}/runs/{receipt.run_id}").json()
    assert (status["state"], status["failure"]) == ("failed", kind.value)
    assert status["failure_message"] == "Loss is NaN in step 7."
    assert session.exec(select(Run.finished_at)).one() is not None


@pytest.mark.parametrize("kind", PLATFORM_FAULTS)
def test_a_fault_of_the_platform_is_retried_up_to_three_attempts(
    client: TestClient, session: Session, kind: FailureKind
) -> None:
    submit(client)
    for attempt in (1, 2):
        assert send_failure(client, claim_one(client), kind).status_code == 204
        assert (job(session).state, job(session).attempt) == (JobState.QUEUED, attempt)
        assert job(session).failure is None
    send_failure(client, claim_one(client), kind, "The disk is full.")
    assert (job(session).state, job(session).failure) == (JobState.FAILED, kind)
    assert job(session).failure_message == "The disk is full. (attempt 3 of 3)"


def test_a_job_handed_back_is_nobodys_fault(client: TestClient, session: Session) -> None:
    submit(client)
    for attempt in range(1, 6):
        offer = claim_one(client)
        assert offer.attempt == attempt
        assert report(client, offer, "release").status_code == 204
        assert job(session).state is JobState.QUEUED
    assert set(session.exec(select(Attempt.outcome)).all()) == {AttemptOutcome.RETURNED}
    assert session.exec(select(Attempt.failure)).all() == [None] * 5


def test_a_job_queued_again_shows_no_progress_of_its_last_attempt(
    client: TestClient, session: Session
) -> None:
    submit(client)
    offer = claim_one(client)
    heartbeat(client, offer, "training", 100, 250)
    report(client, offer, "release")
    row = job(session)
    assert (row.phase, row.completed, row.total, row.worker_id) == (None, 0, 0, None)
    assert (row.lease_token, row.lease_expires_at, row.started_at) == (None, None, None)


def test_a_repeated_failure_is_accepted_and_counted_once(
    client: TestClient, session: Session
) -> None:
    submit(client)
    offer = claim_one(client)
    for _ in range(4):
        assert send_failure(client, offer, FailureKind.INTERNAL_ERROR).status_code == 204
    assert job(session).state is JobState.QUEUED
    current = claim_one(client, "other")
    # Known by its token, even while somebody else has the job.
    assert send_failure(client, offer, FailureKind.INTERNAL_ERROR).status_code == 204
    assert job(session).lease_token == current.lease_token


def test_a_repeated_return_is_accepted_and_changes_nothing(
    client: TestClient, session: Session
) -> None:
    submit(client)
    offer = claim_one(client)
    assert report(client, offer, "release").status_code == 204
    current = claim_one(client, "other")
    assert report(client, offer, "release").status_code == 204
    assert job(session).lease_token == current.lease_token


def test_a_failure_does_not_undo_a_result(client: TestClient, session: Session) -> None:
    submit(client)
    offer = claim_one(client)
    finish(client, offer)
    assert send_failure(client, offer, FailureKind.DIVERGED).status_code == 409
    assert report(client, offer, "release").status_code == 409
    assert heartbeat(client, offer).status_code == 409
    assert job(session).state is JobState.SUCCEEDED


def test_a_result_does_not_undo_a_failure(client: TestClient, session: Session) -> None:
    submit(client)
    offer = claim_one(client)
    send_failure(client, offer, FailureKind.DIVERGED)
    assert send_result(client, offer, run_result()).status_code == 409
    assert job(session).state is JobState.FAILED


def test_a_guessed_token_is_refused(client: TestClient, engine: Engine) -> None:
    submit(client)
    offer = claim_one(client)
    guess = offer.model_copy(update={"lease_token": "guess"})
    assert heartbeat(client, guess).json()["kind"] == "lease_lost"


def test_a_report_for_an_unknown_job_is_not_found(client: TestClient) -> None:
    submit(client)
    offer = claim_one(client).model_copy(update={"job_id": "j_nothing"})
    for response in (
        heartbeat(client, offer),
        send_result(client, offer, run_result()),
        send_failure(client, offer, FailureKind.DIVERGED),
        report(client, offer, "release"),
        send_log(client, offer, "x"),
        send_points(client, offer, points()),
    ):
        assert (response.status_code, response.json()["kind"]) == (404, "not_found")
