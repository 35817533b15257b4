from collections.abc import Callable
from datetime import timedelta

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, update
from sqlmodel import col, select
from starlette.testclient import TestClient

from core.schema.job import JobOffer
from server.database import write_session
from server.quota.tables import Charge
from server.tables import Attempt
from tests.server.factories import claim_one, finish

Limit = Callable[[float], None]
"""Sets the server's quota, in GPU-minutes."""


@pytest.fixture
def limit(app: FastAPI, client: TestClient) -> Limit:
    def set_quota(minutes: float) -> None:
        changes = {"quota_gpu_minutes": minutes}
        app.state.settings = app.state.settings.model_copy(update=changes)

    return set_quota


def take_minutes(engine: Engine, offer: JobOffer, minutes: float) -> None:
    """Let the attempt of an offer have begun so long ago."""
    with write_session(engine) as session:
        query = select(Attempt).where(Attempt.lease_token == offer.lease_token)
        session.exec(query).one().started_at -= timedelta(minutes=minutes)


def work_minutes(client: TestClient, engine: Engine, minutes: float, loss: float = 2.0) -> JobOffer:
    """Let a worker finish the next job in so many minutes."""
    offer = claim_one(client)
    take_minutes(engine, offer, minutes)
    finish(client, offer, loss)
    return offer


def age_charges(engine: Engine, by: timedelta) -> None:
    """Let time pass since all charges."""
    with write_session(engine) as session:
        for charge in session.exec(select(Charge)).all():
            moved = update(Charge).where(col(Charge.id) == charge.id)
            session.exec(moved.values(booked_at=charge.booked_at - by))
