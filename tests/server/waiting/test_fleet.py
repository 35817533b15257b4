from datetime import timedelta

import pytest
from fastapi import FastAPI
from sqlmodel import Session, col, select
from starlette.testclient import TestClient

from core.schema.track import Track
from server.canary.tables import WorkerFreeze
from server.job_choice import Claimant, choose
from server.tables import Job, Worker, utc_now
from server.waiting.fleet import Fleet
from server.waiting.forecast import needs_of
from tests.server.boards import NORM, RELU, finish_next, queueing
from tests.server.factories import GIB, claim_one, finish, register, submit

DEVICES = (
    ("cpu", {}),
    ("small", {"memory_bytes": GIB // 4}),
    ("unknown memory", {"memory_bytes": 0}),
    ("priced", {"device": "NVIDIA H100 80GB HBM3", "has_cuda": True, "memory_bytes": 80 * GIB}),
    ("unpriced", {"device": "NVIDIA T4", "has_cuda": True, "memory_bytes": 80 * GIB}),
    ("small gpu", {"device": "RTX 4090", "has_cuda": True, "memory_bytes": GIB}),
)


@pytest.fixture
def crowded(app: FastAPI, client: TestClient, session: Session) -> Session:
    """Jobs of every kind, and workers that differ in all that matters, in an open transaction."""
    submit(client, "Elsewhere", RELU)
    finish(client, claim_one(client, "mirror"), 2.0, validation="e")
    queueing(app)
    submit(client, "Gain", NORM)
    finish_next(client, 1.5)  # Queues runs of the baseline that only data `b` may have.
    submit(client, "Anything", {"model.dropout": 0.1})
    for track in ("gpu_24gb", "five_dollar", "h100_3b"):
        submit(client, track, track=track)
    for name, changes in DEVICES:
        register(client, name, **changes)
    frozen = register(client, "frozen")
    only_one = register(client, "only one", **DEVICES[3][1])
    kept = session.exec(select(Job).order_by(col(Job.position).desc())).first()
    assert kept is not None
    kept.only_worker_id = only_one
    freeze = {"worker_id": frozen, "track": "debug", "reason": "Drift."}
    session.add(WorkerFreeze.model_validate(freeze))
    session.flush()
    return session


def test_the_fleet_and_the_claim_agree_on_which_jobs_fit_which_worker(
    crowded: Session, tracks: dict[str, Track]
) -> None:
    fleet = Fleet(crowded, tracks)
    jobs = crowded.exec(select(Job).where(Job.state == "queued")).all()
    fitting = 0
    for job in jobs:
        others = [other for other in jobs if other is not job]
        for worker in fleet.workers:
            for other in others:
                other.state = "cancelled"
            crowded.flush()
            claimant = Claimant(
                worker.id, worker.device, worker.has_cuda, worker.memory_bytes, worker.is_trusted
            )
            choice = choose(crowded, claimant, tracks)
            claimed = choice is not None and choice.job_id == job.id
            assert fleet.fits(worker, needs_of(job)) == claimed, (worker.name, job)
            fitting += claimed
            for other in others:
                other.state = "queued"
    assert len({job.track for job in jobs}) == 4
    assert any(job.only_key for job in jobs)
    assert any(job.only_worker_id for job in jobs)
    assert 0 < fitting < len(jobs) * len(fleet.workers)


def test_workers_are_there_as_long_as_they_say_something(
    client: TestClient, session: Session, tracks: dict[str, Track]
) -> None:
    register(client, "here")
    register(client, "gone")
    gone = session.exec(select(Worker).where(Worker.name == "gone")).one()
    gone.last_seen_at -= timedelta(minutes=5)
    session.flush()
    fleet = Fleet(session, tracks)
    assert [worker.name for worker in fleet.seen_since(utc_now() - timedelta(minutes=1))] == [
        "here"
    ]
    assert len(fleet.workers) == 2
