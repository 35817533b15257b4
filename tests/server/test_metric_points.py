import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select
from starlette.testclient import TestClient

from core.schema.result import MetricPoint
from server.database import write_session
from server.metric_points import ROWS_PER_STATEMENT, insert_points
from server.tables import Metric
from tests.server.factories import API, claim_one, points, send_points, submit


@pytest.mark.parametrize("count", [0, 1, ROWS_PER_STATEMENT, 2 * ROWS_PER_STATEMENT + 1])
def test_every_point_is_stored_as_it_came(
    client: TestClient, engine: Engine, session: Session, count: int
) -> None:
    run_id = submit(client).run_id
    sent = [
        point.model_copy(update={"train_seconds": 0.1 * place, "val_accuracy": None})
        for place, point in enumerate(points(range(1, count + 1)))
    ]
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
