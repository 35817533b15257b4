from datetime import timedelta

from sqlmodel import Session, select
from starlette.testclient import TestClient

from core.schema.job import JobOffer
from core.schema.result import FailureKind
from server.canary.tables import CanaryRow
from server.database import write_session
from server.tables import Job, Run
from tests.server.canary.workers import (
    RATE,
    age,
    canary,
    finish_waiting,
    is_canary,
    next_offer,
    work_until_canary,
)
from tests.server.factories import (
    API,
    claim,
    finish,
    register,
    run_result,
    send_failure,
    send_result,
    submit,
)


def work(client: TestClient, number: int) -> None:
    for _ in range(number):
        finish(client, next_offer(client))


def test_a_canary_comes_after_four_results(watching: TestClient, session: Session) -> None:
    work(watching, 4)
    offer = next_offer(watching)
    assert is_canary(session, offer)
    assert (offer.run.track, offer.run.seed) == ("debug", 1000)
    finish(watching, offer)
    # The job that waited is next.
    assert not is_canary(session, next_offer(watching))


def test_the_next_canary_waits_a_day_and_four_results(
    watching: TestClient, session: Session
) -> None:
    canary(watching, session, 2.0)
    work(watching, 4)
    age(session, timedelta(hours=23))
    work(watching, 1)
    age(session, timedelta(hours=1))
    assert is_canary(session, next_offer(watching))


def test_a_worker_that_does_little_has_no_canary(watching: TestClient, session: Session) -> None:
    canary(watching, session, 2.0)
    age(session)
    for _ in range(4):
        offer = next_offer(watching)
        assert not is_canary(session, offer)
        finish(watching, offer)
    assert is_canary(session, next_offer(watching))


def test_a_worker_for_which_nothing_waits_has_no_canary(
    watching: TestClient, session: Session
) -> None:
    work(watching, 4)
    assert claim(watching, register(watching)) is None


def test_without_hours_there_are_no_canaries(client: TestClient, session: Session) -> None:
    work(client, 5)
    assert session.exec(select(CanaryRow)).all() == []


def test_only_its_worker_gets_a_canary(watching: TestClient, session: Session) -> None:
    offer = work_until_canary(watching, session)
    assert watching.post(
        f"{API}/jobs/{offer.job_id}/release", json={"lease_token": offer.lease_token}
    ).is_success
    other = next_offer(watching, "other")
    assert not is_canary(session, other)
    again = next_offer(watching)
    assert again.run.run_id == offer.run.run_id


def test_the_queue_names_the_worker_that_a_job_waits_for(
    watching: TestClient, session: Session
) -> None:
    offer = work_until_canary(watching, session)
    watching.post(f"{API}/jobs/{offer.job_id}/release", json={"lease_token": offer.lease_token})
    first = watching.get(f"{API}/queue").json()["queued"][0]
    assert (first["run_id"], first["worker"]) == (offer.run.run_id, "bench")
    assert first["purpose"] == "canary"


def test_a_canary_is_on_no_board(watching: TestClient, session: Session) -> None:
    offer = canary(watching, session, 1.0)
    session.rollback()
    run = session.get_one(Run, offer.run.run_id)
    assert (run.comparability_key, run.val_loss) == (None, 1.0)
    board = watching.get(f"{API}/tracks/debug/leaderboard").json()
    assert board["baseline"] is None
    assert all(row["result"]["val_loss"] == 2.0 for row in board["rows"])
    assert watching.get(f"{API}/ledger/check").json()["faults"] == []


def test_a_canary_takes_no_seed_from_the_baseline(watching: TestClient, session: Session) -> None:
    canary(watching, session, 2.0)
    assert submit(watching, "Baseline").seed == 1000


def test_a_failed_canary_is_not_repeated_at_once(watching: TestClient, session: Session) -> None:
    offer = work_until_canary(watching, session)
    send_failure(watching, offer, FailureKind.OUT_OF_MEMORY)
    assert not is_canary(session, next_offer(watching))


def test_a_worker_too_small_for_the_baseline_has_no_canary(
    watching: TestClient, session: Session
) -> None:
    work(watching, 4)
    submit(watching, "Waiting", {RATE: 0.02})
    # A job that needs less than the baseline does.
    with write_session(session.get_bind()) as small:
        job = small.exec(select(Job).order_by(Job.position.desc()).limit(1)).one()
        job.memory_bytes = 1000
    offer = claim(watching, register(watching, memory_bytes=2000))
    assert offer is not None
    assert not is_canary(session, offer)


def test_another_device_begins_with_a_canary(watching: TestClient, session: Session) -> None:
    canary(watching, session, 2.0)
    offer = next_offer(watching, device="NVIDIA GeForce RTX 4090", has_cuda=True)
    assert is_canary(session, offer)
    finish(watching, offer)
    assert not is_canary(
        session, next_offer(watching, device="NVIDIA GeForce RTX 4090", has_cuda=True)
    )


def finish_with_torch(client: TestClient, offer: JobOffer, version: str) -> None:
    result = run_result(offer.run.seed)
    provenance = result.provenance.model_copy(update={"packages": {"torch": version}})
    sent = send_result(client, offer, result.model_copy(update={"provenance": provenance}))
    assert sent.status_code == 204


def test_a_result_of_another_torch_is_followed_by_a_canary(
    watching: TestClient, session: Session
) -> None:
    canary(watching, session, 2.0)
    finish_waiting(watching)
    finish_with_torch(watching, next_offer(watching), "2.12.0")
    offer = next_offer(watching)
    assert is_canary(session, offer)
    finish_with_torch(watching, offer, "2.12.0")
    finish_with_torch(watching, next_offer(watching), "2.12.0")
    assert not is_canary(session, next_offer(watching))
