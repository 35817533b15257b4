"""Jobs of authors who used less go first, and everything that shows the order agrees."""

import threading
from datetime import timedelta

from sqlalchemy import Engine
from sqlmodel import Session, select
from starlette.testclient import TestClient

from core.schema.result import FailureKind
from server.claim_order import queued_places
from server.database import write_session
from server.quota.shares import refresh_shares
from server.standing import active_runs
from server.tables import Job, Priority, utc_now
from tests.server.boards import NORM, RELU
from tests.server.factories import (
    API,
    claim,
    claim_one,
    finish,
    register,
    report,
    send_failure,
    submit,
)
from tests.server.quota.conftest import age_charges, take_minutes, work_minutes

RATE = "optimizer.muon.learning_rate"


def submit_many(client: TestClient, author: str, count: int, first: int = 1) -> list[str]:
    """Runs of so many experiments, each new."""
    numbers = range(first, first + count)
    return [submit(client, f"n{n}", {RATE: n / 1000}, author=author).run_id for n in numbers]


def listed(client: TestClient) -> list[str]:
    return [entry["run_id"] for entry in client.get(f"{API}/queue").json()["queued"]]


def claimed(client: TestClient) -> list[str]:
    """All queued runs in the order in which workers get them."""
    return [claim_one(client, f"bench {n}").run.run_id for n in range(len(listed(client)))]


def minutes(session: Session) -> dict[str, set[int]]:
    """What the queued jobs of each author carry."""
    session.rollback()
    found: dict[str, set[int]] = {}
    for job in session.exec(select(Job).where(Job.state == "queued")):
        found.setdefault(job.charged_to, set()).add(job.author_gpu_minutes)
    return found


def test_authors_who_used_less_go_first_and_ties_go_by_position(
    client: TestClient, engine: Engine
) -> None:
    ada = submit_many(client, "ada", 3)
    bob = submit_many(client, "bob", 2, first=11)
    eve = submit_many(client, "eve", 1, first=21)
    assert listed(client) == [*ada, *bob, *eve]
    assert work_minutes(client, engine, 10).run.run_id == ada[0]
    assert work_minutes(client, engine, 5).run.run_id == bob[0]
    expected = [*eve, bob[1], *ada[1:]]
    assert listed(client) == expected
    assert claimed(client) == expected


def test_one_author_does_not_keep_the_others_waiting(client: TestClient, engine: Engine) -> None:
    ada = submit_many(client, "ada", 4)
    bob = submit_many(client, "bob", 2, first=11)
    done = [work_minutes(client, engine, 3).run.run_id for _ in range(6)]
    assert done == [ada[0], bob[0], ada[1], bob[1], ada[2], ada[3]]


def test_the_receipt_the_run_and_the_board_count_the_same_jobs_ahead(
    client: TestClient, engine: Engine, session: Session
) -> None:
    submit_many(client, "ada", 3)
    work_minutes(client, engine, 10)
    receipt = submit(client, "First", NORM, author="bob")
    assert receipt.jobs_ahead == 0
    late = submit(client, "Last", RELU, author="ada")
    assert late.jobs_ahead == 3
    order = listed(client)
    ahead = [client.get(f"{API}/runs/{run_id}").json()["jobs_ahead"] for run_id in order]
    assert ahead == [0, 1, 2, 3]
    board = active_runs(session, "debug")
    assert [(run.run_id, run.jobs_ahead) for run in board] == list(zip(order, ahead, strict=True))
    places = queued_places(session, (Priority.IDLE, 10**6, 10**6, ""))
    assert len(places) == 4
    assert queued_places(session, places[1]) == places[:2]


def test_priorities_come_before_shares(client: TestClient, engine: Engine) -> None:
    receipt = submit(client, "Known", NORM, author="ada")
    work_minutes(client, engine, 10)
    rerun = client.post(f"{API}/submissions/{receipt.submission_id}/rerun", json={"author": "bob"})
    new = submit_many(client, "ada", 1)
    # Bob has used nothing, and a rerun comes after what is new all the same.
    assert listed(client) == [*new, *rerun.json()["run_ids"]]


def test_what_the_platform_failed_counts_for_nothing(
    client: TestClient, engine: Engine, session: Session
) -> None:
    ada = submit_many(client, "ada", 2)
    submit_many(client, "bob", 1, first=11)
    offer = claim_one(client)
    take_minutes(engine, offer, 30)
    send_failure(client, offer, FailureKind.INTERNAL_ERROR)
    offer = claim_one(client)
    assert offer.run.run_id == ada[0]
    take_minutes(engine, offer, 30)
    report(client, offer, "release")
    assert minutes(session) == {"ada": {0}, "bob": {0}}
    assert listed(client)[0] == ada[0]


def test_a_job_that_comes_back_stands_where_its_author_does_by_then(
    client: TestClient, engine: Engine
) -> None:
    ada = submit_many(client, "ada", 2)
    bob = submit_many(client, "bob", 1, first=11)
    handed_back = claim_one(client, "first")
    work_minutes(client, engine, 10)
    report(client, handed_back, "release")
    assert listed(client) == [*bob, ada[0]]


def test_charges_that_grow_old_move_their_authors_jobs_up(
    client: TestClient, engine: Engine, session: Session
) -> None:
    submit_many(client, "ada", 2)
    work_minutes(client, engine, 10)
    submit_many(client, "bob", 1, first=11)
    assert minutes(session) == {"ada": {10}, "bob": {0}}
    age_charges(engine, timedelta(days=8))
    with write_session(engine) as writer:
        refresh_shares(writer, utc_now())
    assert minutes(session) == {"ada": {0}, "bob": {0}}


def test_claims_and_results_at_the_same_time_lose_no_job(
    client: TestClient, engine: Engine
) -> None:
    runs = [*submit_many(client, "ada", 6), *submit_many(client, "bob", 6, first=11)]
    done: list[str] = []

    def work(name: str) -> None:
        while len(done) < len(runs):
            offer = claim(client, workers[name])
            if offer is not None:
                take_minutes(engine, offer, 2)
                finish(client, offer)
                done.append(offer.run.run_id)

    names = [f"bench {n}" for n in range(4)]
    workers = {name: register(client, name) for name in names}
    threads = [threading.Thread(target=work, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(done) == sorted(runs)
