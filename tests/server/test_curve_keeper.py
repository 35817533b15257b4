from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select
from starlette.testclient import TestClient

from core.schema.job import JobOffer
from server import curve_keeper, kept_curves
from server.curve_keeper import CurveKeeper
from server.curve_metrics import CurveMetric
from server.curves import SubmissionCurves, submission_curves, validation_losses
from server.kept_curves import Curves, KeptCurves
from server.submissions import find_submission
from tests.server.factories import claim_one, finish, points, send_points, submit


@pytest.fixture
def keeper(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> CurveKeeper:
    """One that follows every ten steps, seven points at once."""
    monkeypatch.setattr(curve_keeper, "MIN_STEPS", 10)
    monkeypatch.setattr(curve_keeper, "MAX_POINTS", 7)
    return CurveKeeper(engine, 60.0)


def send(client: TestClient, offer: JobOffer, first: int, last: int) -> None:
    """Points of all steps from the first to the last; one of them a spike."""
    for start in range(first, last + 1, 500):
        batch = points(steps=range(start, min(start + 500, last + 1)))
        batch[3] = batch[3].model_copy(update={"gradient_norm": 90.0 + start})
        send_points(client, offer, batch)


def curves_of(engine: Engine, submission_id: str) -> SubmissionCurves:
    with Session(engine) as session:
        return submission_curves(session, find_submission(session, submission_id))


def through(engine: Engine) -> list[int]:
    with Session(engine) as session:
        return list(session.exec(select(KeptCurves.through_step)))


def test_kept_curves_tell_what_all_points_would(
    client: TestClient, engine: Engine, keeper: CurveKeeper
) -> None:
    receipt = submit(client)
    offer = claim_one(client)
    for first, last in ((1, 60), (61, 69), (70, 1200)):
        send(client, offer, first, last)
        before = curves_of(engine, receipt.submission_id)
        keeper.keep()
        assert curves_of(engine, receipt.submission_id) == before
    assert through(engine) == [1200]
    with Session(engine) as session:
        kept = validation_losses(session, [receipt.run_id])
        session.delete(session.exec(select(KeptCurves)).one())
        session.flush()
        assert validation_losses(session, [receipt.run_id]) == kept


def test_points_that_are_kept_condensed_are_not_read_again(
    client: TestClient, engine: Engine, keeper: CurveKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipt = submit(client)
    offer = claim_one(client)
    send(client, offer, 1, 40)
    keeper.keep()
    send(client, offer, 41, 45)
    read: list[int] = []
    follow = kept_curves._followed

    def note(curves: Curves, later: Sequence[Any], metrics: Sequence[CurveMetric]) -> Curves:
        read.append(len(later))
        return follow(curves, later, metrics)

    monkeypatch.setattr(kept_curves, "_followed", note)
    curves_of(engine, receipt.submission_id)
    assert read == [5]


def test_runs_of_few_points_are_left_as_they_are(
    client: TestClient, engine: Engine, keeper: CurveKeeper
) -> None:
    submit(client)
    send(client, claim_one(client), 1, 9)
    keeper.keep()
    assert through(engine) == []


def test_runs_that_ended_before_the_server_began_are_made_up_for(
    client: TestClient, engine: Engine, keeper: CurveKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curve_keeper, "RUNS_PER_PASS", 1)
    for index in range(2):
        submit(client, f"Run {index}", {"model.dropout": index / 10})
        offer = claim_one(client)
        send(client, offer, 1, 20)
        finish(client, offer)
    keeper.keep()
    assert through(engine) == [100]
    keeper.keep()
    assert through(engine) == [100, 100]
