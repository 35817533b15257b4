import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select
from starlette.testclient import TestClient

from core.schema.metric_point import EXPERT_LOAD, MetricPoint
from server.database import write_session
from server.metric_points import ROWS_PER_STATEMENT, insert_points
from server.tables import Metric
from tests.server.factories import API, claim_one, points, report, send_points, submit, with_load


@pytest.mark.parametrize("count", [0, 1, ROWS_PER_STATEMENT, 2 * ROWS_PER_STATEMENT + 1])
def test_every_point_is_stored_as_it_came(
    client: TestClient, engine: Engine, session: Session, count: int
) -> None:
    run_id = submit(client).run_id
    sent = [
        point.model_copy(update={"train_seconds": 0.1 * place, "val_accuracy": None})
        for place, point in enumerate(points(range(1, count + 1)))
    ]
    # A worker may be updated in the middle of a run.
    sent = sent[: count // 2] + with_load(sent[count // 2 :])
    with write_session(engine) as writer:
        insert_points(writer, run_id, sent)
    rows = session.exec(select(Metric).order_by(Metric.step)).all()
    stored = [MetricPoint.model_validate(row.model_dump(exclude={"run_id"})) for row in rows]
    assert stored == sent
    assert {row.run_id for row in rows} <= {run_id}


def test_of_two_points_of_a_step_the_first_stays(
    client: TestClient, engine: Engine, session: Session
) -> None:
    run_id = submit(client).run_id
    with write_session(engine) as writer:
        insert_points(writer, run_id, [*points((2,), start=1.0), *points((2,), start=9.0)])
        insert_points(writer, run_id, points((1, 2, 3), start=5.0))
    losses = session.exec(select(Metric.train_loss).order_by(Metric.step)).all()
    assert losses == [5.0, 1.0 / 2**0.5, 5.0 / 3**0.5]


def test_batches_that_overtake_each_other_are_read_in_order_and_once(client: TestClient) -> None:
    run_id = submit(client).run_id
    offer = claim_one(client)
    batches = [points(range(start, start + 10)) for start in (1, 11, 21, 31)]
    for batch in (batches[2], batches[0], batches[3], batches[2], batches[1], batches[0]):
        assert send_points(client, offer, batch).status_code == 204
    stored = client.get(f"{API}/runs/{run_id}/metrics").json()["points"]
    assert [point["step"] for point in stored] == list(range(1, 41))


def test_points_of_a_worker_from_before_expert_load_are_stored_without(
    client: TestClient, session: Session
) -> None:
    submit(client)
    old = [point.model_dump(mode="json", exclude=set(EXPERT_LOAD)) for point in points()]
    assert report(client, claim_one(client), "metrics", points=old).status_code == 204
    assert set(session.exec(select(Metric.expert_max_violation)).all()) == {None}


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("expert_max_violation", -0.5, "greater than or equal to 0"),
        ("worst_expert_max_violation", "NaN", "finite"),
        ("idle_expert_share", 1.5, "less than or equal to 1"),
    ],
)
def test_a_load_that_cannot_be_is_refused_by_name(
    client: TestClient, session: Session, name: str, value: object, allowed: str
) -> None:
    submit(client)
    batch = [point.model_dump(mode="json") for point in points()]
    batch[2][name] = value
    response = report(client, claim_one(client), "metrics", points=batch)
    assert response.status_code == 422
    assert name in response.text
    assert allowed in response.text
    assert session.exec(select(Metric)).all() == []


def test_points_go_with_their_transaction(
    client: TestClient, engine: Engine, session: Session
) -> None:
    run_id = submit(client).run_id

    def store_and_fail() -> None:
        with write_session(engine) as writer:
            insert_points(writer, run_id, points())
            raise KeyError

    with pytest.raises(KeyError):
        store_and_fail()
    assert session.exec(select(Metric)).all() == []
