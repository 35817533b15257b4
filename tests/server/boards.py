"""Boards with measured experiments, built as workers do it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from sqlmodel import Session
from starlette.testclient import TestClient

from core.schema.job import JobOffer
from core.schema.ledger import LedgerEntry
from server.ledger.entries import read
from tests.server.factories import claim, finish, register, submit

BASELINE_LOSSES = (2.0, 2.01, 1.99, 2.005, 1.995)
"""Mean 2, deviation √(2.5e-4 / 4) = 0.0079."""
NORM = {"model.attention.qk_norm": True}
RELU = {"model.feed_forward.activation": "squared_relu"}


def queueing(app: FastAPI) -> FastAPI:
    """The application with runs queued by themselves."""
    app.state.settings = app.state.settings.model_copy(update={"queues_runs": True})
    return app


def work_off(
    client: TestClient, losses: Mapping[str, Sequence[float]], worker: str = "bench"
) -> list[JobOffer]:
    """Claim and finish jobs until the queue is empty; what was done, in order.

    Args:
        losses: for each experiment's hash, the losses of its runs in order of their seeds.
    """
    done = []
    while offer := claim(client, register(client, worker)):
        run = client.get(f"/api/v1/runs/{offer.run.run_id}").json()
        finish(client, offer, _loss(losses, offer, run))
        done.append(offer)
    return done


def measure_baseline(client: TestClient, losses: Sequence[float] = BASELINE_LOSSES) -> str:
    """Submit the baseline as often as there are losses; the first submission's id."""
    ids = []
    for loss in losses:
        ids.append(submit(client, "Baseline", author="project-fan").submission_id)
        finish_next(client, loss)
    return ids[0]


def finish_next(client: TestClient, loss: float, **changes: Any) -> JobOffer:
    """Claim the next job, which must be there, and finish it."""
    offer = claim(client, register(client))
    assert offer is not None
    finish(client, offer, loss, **changes)
    return offer


def _loss(losses: Mapping[str, Sequence[float]], offer: JobOffer, run: Mapping[str, Any]) -> float:
    by_name = losses[run["name"]]
    return by_name[offer.run.seed - 1000] if len(by_name) > 1 else by_name[0]


def verdicts(client: TestClient, track: str = "debug") -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and row of each ranked experiment."""
    board = client.get(f"/api/v1/tracks/{track}/leaderboard").json()
    for row in board["rows"]:
        yield row["name"], row


def entries_of(session: Session, subjects: Sequence[str]) -> tuple[LedgerEntry, ...]:
    """Everything that the ledger tells of some subjects, in order."""
    return tuple(entry for entry in read(session, 0, 1000).entries if entry.subject in subjects)
