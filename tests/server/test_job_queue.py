import functools
import multiprocessing
import threading
from concurrent.futures import ProcessPoolExecutor

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select
from starlette.testclient import TestClient

from core.schema.job import JobOffer, JobState
from core.schema.result import FailureKind
from core.schema.track import Track
from core.tracks import load_tracks
from server.canary.schedule import claim as claim_job
from server.database import create_engine, write_session
from server.new_runs import queue_run
from server.settings import ServerSettings
from server.tables import Experiment, Job, RunPurpose
from tests.server.factories import (
    API,
    GIB,
    claim,
    claim_one,
    finish,
    heartbeat,
    register,
    report,
    send_failure,
    submit,
)
from tests.server.test_expired_leases import expire

LEARNING_RATE = "optimizer.muon.learning_rate"


def state(session: Session) -> JobState:
    session.rollback()
    return session.exec(select(Job.state)).one()


def test_jobs_are_claimed_in_the_order_of_submission(client: TestClient) -> None:
    runs = [submit(client, f"n{n}", {LEARNING_RATE: n / 100}).run_id for n in (3, 1, 2)]
    worker = register(client)
    offers = [claim(client, worker) for _ in runs]
    assert [offer.run.run_id for offer in offers if offer] == runs
    assert claim(client, worker) is None


def test_an_offer_says_all_that_training_needs(client: TestClient) -> None:
    receipt = submit(client, "Rate", {LEARNING_RATE: 0.02})
    offer = claim_one(client)
    assert (offer.attempt, offer.run.run_id, offer.run.seed) == (1, receipt.run_id, 1000)
    assert (offer.run.track, offer.run.track_version) == ("debug", 1)
    assert offer.run.experiment.optimizer.muon.learning_rate == 0.02
    assert offer.run.budget.memory_gib == 24
    assert offer.run.prices_usd_per_hour == {"cpu": 0.04}


def test_claim_gives_each_job_to_one_worker(
    client: TestClient, engine: Engine, settings: ServerSettings, session: Session
) -> None:
    runs = {submit(client, f"n{n}", {LEARNING_RATE: n / 100}).run_id for n in range(1, 7)}
    workers = [register(client, f"bench {n}") for n in range(12)]
    tracks = load_tracks(settings.tracks_folder)
    barrier = threading.Barrier(len(workers))
    offers: list[JobOffer | None] = []

    def race(worker: str) -> None:
        barrier.wait()
        with write_session(engine) as session:
            offer = claim_job(session, worker, tracks, settings)
        offers.append(offer)

    threads = [threading.Thread(target=race, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = [offer.run.run_id for offer in offers if offer]
    assert len(offers) == 12
    assert sorted(taken) == sorted(runs)
    assert len(set(session.exec(select(Job.worker_id)).all())) == 6


def claim_until_empty(settings: ServerSettings, worker: str) -> list[str]:
    """The runs that one process of its own gets."""
    engine, tracks = create_engine(settings.database_url), load_tracks(settings.tracks_folder)
    runs: list[str] = []
    while True:
        with write_session(engine) as session:
            offer = claim_job(session, worker, tracks, settings)
        if offer is None:
            engine.dispose()
            return runs
        runs.append(offer.run.run_id)


def test_processes_empty_one_queue_and_no_job_goes_twice(
    client: TestClient, engine: Engine, settings: ServerSettings, tracks: dict[str, Track]
) -> None:
    experiment = submit(client).experiment_hash
    rules = tracks["debug"].rules
    with write_session(engine) as session:
        row = session.get_one(Experiment, experiment)
        for _ in range(39):
            queue_run(session, row, rules, RunPurpose.SUBMISSION)
    workers = [register(client, f"bench {n}") for n in range(4)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(4, mp_context=context) as processes:
        each = functools.partial(claim_until_empty, settings)
        taken = [run for runs in processes.map(each, workers) for run in runs]
    assert len(taken) == 40
    assert len(set(taken)) == 40


def test_a_processor_gets_no_job_that_needs_cuda(client: TestClient) -> None:
    submit(client, track="gpu_24gb")
    small = submit(client)
    worker = register(client)
    offer = claim(client, worker)
    assert offer is not None
    assert offer.run.run_id == small.run_id
    assert claim(client, worker) is None
    gpu = register(client, "gpu", device="NVIDIA RTX 4090", has_cuda=True, memory_bytes=24 * GIB)
    assert claim(client, gpu) is not None


def test_a_worker_gets_no_job_larger_than_its_memory(client: TestClient) -> None:
    submit(client)
    assert claim(client, register(client, "tiny", memory_bytes=10**6)) is None
    assert claim(client, register(client, "large")) is not None


def test_a_worker_of_unknown_memory_gets_jobs(client: TestClient) -> None:
    submit(client)
    assert claim(client, register(client, "silent driver", memory_bytes=0)) is not None


def test_a_job_with_a_bound_on_dollars_waits_for_a_device_that_has_a_price(
    client: TestClient,
) -> None:
    receipt = submit(client, track="fifty_cent")
    gpu = {"has_cuda": True, "memory_bytes": 24 * GIB}
    assert claim(client, register(client, "unpriced", device="NVIDIA T4", **gpu)) is None
    offer = claim(client, register(client, "priced", device="NVIDIA GeForce RTX 4090", **gpu))
    assert offer is not None
    assert offer.run.run_id == receipt.run_id


def test_an_unknown_worker_is_told_to_register(client: TestClient) -> None:
    response = client.post(f"{API}/workers/w_nobody/claim")
    assert response.status_code == 404
    assert "register" in response.json()["message"]


def test_a_job_of_a_track_that_is_not_served_waits(
    client: TestClient, engine: Engine, settings: ServerSettings
) -> None:
    submit(client)
    worker = register(client)
    with write_session(engine) as session:
        assert claim_job(session, worker, {}, settings) is None
    assert claim(client, worker) is not None


def test_a_config_that_this_version_cannot_read_fails_and_the_next_is_offered(
    client: TestClient, engine: Engine
) -> None:
    old, new = submit(client, "Old", {LEARNING_RATE: 0.02}), submit(client, "New")
    with write_session(engine) as session:
        session.get_one(Experiment, old.experiment_hash).config = {"model": {"layers": 2}}
    assert claim_one(client).run.run_id == new.run_id
    status = client.get(f"{API}/runs/{old.run_id}").json()
    assert (status["state"], status["failure"]) == ("failed", "internal_error")
    assert "submit it again" in status["failure_message"]


def cancel(client: TestClient, submission_id: str) -> tuple[int, dict[str, object]]:
    response = client.post(f"{API}/submissions/{submission_id}/cancel")
    return response.status_code, response.json()


def test_cancelling_a_queued_run_ends_it_at_once(client: TestClient) -> None:
    receipt = submit(client)
    status, body = cancel(client, receipt.submission_id)
    assert (status, body["state"], body["failure"]) == (200, "cancelled", "cancelled")
    assert claim(client, register(client)) is None
    assert cancel(client, receipt.submission_id)[0] == 200


def test_cancelling_a_running_run_asks_its_worker_to_stop(client: TestClient) -> None:
    receipt = submit(client)
    offer = claim_one(client)
    assert heartbeat(client, offer).json() == {"cancel": False}
    assert cancel(client, receipt.submission_id)[1]["state"] == "running"
    assert heartbeat(client, offer).json() == {"cancel": True}
    assert send_failure(client, offer, FailureKind.CANCELLED).status_code == 204
    assert cancel(client, receipt.submission_id)[1]["state"] == "cancelled"


@pytest.mark.parametrize("way", ["expiry", "release", "fault"])
def test_a_run_whose_cancelling_was_asked_for_is_not_queued_again(
    client: TestClient, engine: Engine, session: Session, way: str
) -> None:
    receipt = submit(client)
    offer = claim_one(client)
    cancel(client, receipt.submission_id)
    if way == "expiry":
        expire(engine)
    elif way == "release":
        assert report(client, offer, "release").status_code == 204
    else:
        send_failure(client, offer, FailureKind.INTERNAL_ERROR)
    assert state(session) is JobState.CANCELLED


def test_a_result_that_beats_the_cancelling_is_kept(client: TestClient, session: Session) -> None:
    receipt = submit(client)
    offer = claim_one(client)
    cancel(client, receipt.submission_id)
    finish(client, offer)
    assert state(session) is JobState.SUCCEEDED
    status, body = cancel(client, receipt.submission_id)
    assert (status, body["kind"]) == (409, "already_ended")


def test_cancelling_what_does_not_exist_is_not_found(client: TestClient) -> None:
    assert cancel(client, "s_nobody")[0] == 404
