import pytest
from sqlmodel import Session, select
from starlette.testclient import TestClient

from core.schema.job import JobOffer, JobState
from server.tables import Attempt, Job
from tests.server.factories import API, finish, register, report, submit

KEY = "0123456789abcdef"


@pytest.fixture
def worker(client: TestClient) -> str:
    return register(client)


def claim(client: TestClient, worker: str, key: str = KEY):
    return client.post(f"{API}/workers/{worker}/claim", headers={"Idempotency-Key": key})


def test_a_claim_sent_twice_leases_one_job(
    client: TestClient, session: Session, worker: str
) -> None:
    submit(client)
    submit(client)
    first, second = claim(client, worker), claim(client, worker)
    assert first.json() == second.json()
    states = session.exec(select(Job.state)).all()
    assert sorted(states) == [JobState.QUEUED, JobState.RUNNING]
    other = claim(client, worker, "fedcba9876543210")
    assert other.json()["job_id"] != first.json()["job_id"]


def test_a_repeated_claim_renews_the_lease(
    client: TestClient, session: Session, worker: str
) -> None:
    submit(client)
    claim(client, worker)
    before = session.exec(select(Job.lease_expires_at)).one()
    session.rollback()
    claim(client, worker)
    after = session.exec(select(Job.lease_expires_at)).one()
    assert before is not None
    assert after is not None
    assert after > before


def test_a_claim_that_arrives_after_its_job_has_ended_leases_nothing(
    client: TestClient, session: Session, worker: str
) -> None:
    submit(client)
    submit(client)
    offer = JobOffer.model_validate_json(claim(client, worker).content)
    finish(client, offer)
    late = claim(client, worker)
    assert (late.status_code, late.json()["kind"]) == (409, "lease_lost")
    assert len(session.exec(select(Attempt)).all()) == 1


def test_a_claim_that_is_repeated_after_the_job_was_given_back_leases_nothing(
    client: TestClient, worker: str
) -> None:
    submit(client)
    offer = JobOffer.model_validate_json(claim(client, worker).content)
    assert report(client, offer, "release").status_code == 204
    assert claim(client, worker).status_code == 409
    assert claim(client, worker, "fedcba9876543210").json()["attempt"] == 2


def test_an_empty_queue_is_no_answer_to_keep(client: TestClient, worker: str) -> None:
    assert claim(client, worker).status_code == 204
    submit(client)
    assert claim(client, worker).status_code == 200


def test_another_worker_with_the_same_key_gets_a_job_of_its_own(
    client: TestClient, worker: str
) -> None:
    submit(client)
    submit(client)
    first = claim(client, worker).json()
    second = claim(client, register(client, "other")).json()
    assert first["job_id"] != second["job_id"]
    assert first["lease_token"] != second["lease_token"]


@pytest.mark.parametrize("key", ["short", "not a key, with spaces"])
def test_a_key_that_could_be_guessed_is_refused(client: TestClient, worker: str, key: str) -> None:
    answer = claim(client, worker, key)
    assert answer.status_code == 422
    assert "Idempotency-Key" in answer.json()["message"]
