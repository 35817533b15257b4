from sqlmodel import Session
from starlette.testclient import TestClient

from core.tracks import load_tracks
from server.board.history import board_history
from tests.server.boards import NORM, RELU, measure_baseline
from tests.server.factories import API, submit_and_finish

DROPOUT = {"model.dropout": 0.2}


def test_records_come_in_the_order_in_which_they_were_set(
    client: TestClient, session: Session
) -> None:
    measure_baseline(client)
    submit_and_finish(client, "First", RELU, 1.5)
    submit_and_finish(client, "No record", DROPOUT, 1.6)
    submit_and_finish(client, "Second", NORM, 1.2)
    history = board_history(session, load_tracks()["debug"])
    assert [record.name for record in history.records] == ["First", "Second"]
    assert [record.val_loss for record in history.records] == [1.5, 1.2]


def test_a_record_that_was_withdrawn_stays_with_its_reason(
    client: TestClient, session: Session
) -> None:
    measure_baseline(client)
    first = submit_and_finish(client, "First", RELU, 1.5)
    body = {"author": "ada", "reason": "A mistake."}
    answer = client.post(f"{API}/submissions/{first.submission_id}/withdraw", json=body)
    assert answer.status_code == 200
    [record] = board_history(session, load_tracks()["debug"]).records
    assert record.lost_reason == "Withdrawn: A mistake."
    assert "A mistake." in client.get("/tracks/debug").text


def test_a_board_without_results_has_no_history(client: TestClient) -> None:
    answer = client.get(f"{API}/tracks/debug/history")
    assert answer.json() == {"track": "debug", "key": None, "records": [], "frontier": []}
    assert "record-history" not in client.get("/tracks/debug").text


def test_the_frontier_goes_from_cheap_to_low(client: TestClient) -> None:
    for name, config, loss, seconds in (
        ("Cheap", RELU, 2.0, 10.0),
        ("Beaten", NORM, 2.1, 20.0),
        ("Low", DROPOUT, 1.5, 30.0),
    ):
        submit_and_finish(client, name, config, loss, train_seconds=seconds)
    frontier = client.get(f"{API}/tracks/debug/history").json()["frontier"]
    assert [one["name"] for one in frontier] == ["Cheap", "Low"]
    page = client.get("/tracks/debug").text
    assert "cost-frontier" in page
    assert page.count("<circle") == 2
