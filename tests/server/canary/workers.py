"""Workers that are asked for canaries, through the API that workers use."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from sqlmodel import Session, select
from starlette.testclient import TestClient

from core.schema.job import JobOffer
from server.canary.tables import CanaryRow, WorkerFreeze
from server.database import write_session
from server.tables import Run, RunPurpose
from tests.server.boards import BASELINE_LOSSES
from tests.server.factories import claim, claim_one, finish, register, submit

RATE = "optimizer.muon.learning_rate"
DAY = timedelta(days=1)
MOST_WORK = 5
"""A canary comes before that many runs."""


def next_offer(client: TestClient, worker: str = "bench", **changes: Any) -> JobOffer:
    """What a worker gets while a new experiment waits."""
    submit(client, "Waiting", {RATE: next(RATES)})
    offer = claim(client, register(client, worker, **changes))
    assert offer is not None
    return offer


def is_canary(session: Session, offer: JobOffer) -> bool:
    """Whether a claimed run is one."""
    session.rollback()
    return session.get_one(Run, offer.run.run_id).purpose is RunPurpose.CANARY


def age(session: Session, by: timedelta = DAY) -> None:
    """Let time pass since everything that happened."""
    session.rollback()
    with write_session(session.get_bind()) as past:
        for run in past.exec(select(Run).where(Run.finished_at.is_not(None))):
            run.finished_at -= by
        for row in past.exec(select(CanaryRow)):
            row.asked_at -= by
            row.finished_at = row.finished_at - by if row.finished_at else None
        for freeze in past.exec(select(WorkerFreeze)):
            freeze.asked_at -= by
            freeze.thawed_at = freeze.thawed_at - by if freeze.thawed_at else None


def work_until_canary(client: TestClient, session: Session, worker: str = "bench") -> JobOffer:
    """Let a worker train new experiments until it gets a canary, on the next day."""
    age(session)
    for _ in range(MOST_WORK):
        offer = next_offer(client, worker)
        if is_canary(session, offer):
            return offer
        finish(client, offer, 2.0)
    raise AssertionError(f"no canary before {MOST_WORK} runs")


def canary(client: TestClient, session: Session, loss: float, **changes: Any) -> JobOffer:
    """A canary that comes out at a loss."""
    offer = work_until_canary(client, session)
    finish(client, offer, loss, **changes)
    return offer


def finish_waiting(client: TestClient, loss: float = 2.0, worker: str = "bench") -> list[JobOffer]:
    """Finish whatever a worker gets, until it gets nothing; what there was."""
    done = []
    while offer := claim(client, register(client, worker)):
        finish(client, offer, loss)
        done.append(offer)
    return done


def board_in_control(client: TestClient, session: Session) -> str:
    """A baseline of five runs by others, and three canaries of `bench`; the baseline's submission.

    The deviation is the baseline's, 0.0079, so that canaries should lie within 2 ± 0.0237.
    """
    for number, loss in enumerate(BASELINE_LOSSES):
        baseline = submit(client, "Baseline").submission_id
        finish(client, claim_one(client, f"founder {number}"), loss)
    for loss in (1.999, 2.0, 2.001):
        canary(client, session, loss)
    finish_waiting(client)
    return baseline


def _rates() -> Iterator[float]:
    number = 0
    while True:
        number += 1
        yield round(0.001 + number / 100_000, 6)


RATES = _rates()
