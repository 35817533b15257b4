import threading

from sqlmodel import Session, select
from starlette.testclient import TestClient

from core.schema.result import FailureKind
from server.tables import LogPiece, Metric
from tests.server.factories import (
    API,
    claim_one,
    points,
    run_result,
    send_failure,
    send_log,
    send_points,
    send_result,
    submit,
)


def test_metrics_sent_twice_are_stored_once(client: TestClient, session: Session) -> None:
    receipt = submit(client)
    offer = claim_one(client)
    for _ in range(2):
        assert send_points(client, offer, points((1, 2, 3))).status_code == 204
    assert session.exec(select(Metric.step).order_by(Metric.step)).all() == [1, 2, 3]
    answer = client.get(f"{API}/runs/{receipt.run_id}/metrics").json()
    assert answer == {"points": [point.model_dump() for point in points((1, 2, 3))]}


def test_the_first_point_of_a_step_stays(client: TestClient, session: Session) -> None:
    submit(client)
    offer = claim_one(client)
    send_points(client, offer, points((1,), start=5.0))
    send_points(client, offer, [*points((1,), start=9.0), *points((2,), start=4.0)])
    twice = [*points((3,), start=1.0), *points((3,), start=2.0)]
    send_points(client, offer, twice)
    losses = session.exec(select(Metric.train_loss).order_by(Metric.step)).all()
    assert losses == [5.0, 4.0 / 2**0.5, 1.0 / 3**0.5]


def test_a_resumed_attempt_continues_the_curve(client: TestClient, session: Session) -> None:
    submit(client)
    first = claim_one(client)
    send_points(client, first, points((1, 2, 3)))
    send_failure(client, first, FailureKind.INTERNAL_ERROR)
    second = claim_one(client, "other")
    assert send_points(client, second, points((2, 3, 4))).status_code == 204
    assert session.exec(select(Metric.step).order_by(Metric.step)).all() == [1, 2, 3, 4]


def test_the_same_batch_from_two_connections_is_stored_once(
    client: TestClient, session: Session
) -> None:
    submit(client)
    offer = claim_one(client)
    statuses: list[int] = []

    def send() -> None:
        statuses.append(send_points(client, offer, points(range(1, 101))).status_code)

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [204] * 4
    assert len(session.exec(select(Metric.step)).all()) == 100


def log(client: TestClient, run_id: str, tail: int = 100) -> str:
    response = client.get(f"{API}/runs/{run_id}/log", params={"tail": tail})
    assert response.status_code == 200
    return response.text


def test_a_log_comes_back_line_by_line_whatever_its_pieces(client: TestClient) -> None:
    receipt = submit(client)
    offer = claim_one(client)
    assert send_log(client, offer, "step 1\nste", 0).status_code == 204
    assert send_log(client, offer, "p 2\n", 10).status_code == 204
    assert log(client, receipt.run_id) == "step 1\nstep 2\n"


def test_log_pieces_that_overlap_are_stored_once(client: TestClient, session: Session) -> None:
    receipt = submit(client)
    offer = claim_one(client)
    send_log(client, offer, "abc", 0)
    send_log(client, offer, "abc", 0)
    send_log(client, offer, "abcdef", 0)
    send_log(client, offer, "ef", 4)
    send_log(client, offer, "efg", 4)
    assert log(client, receipt.run_id) == "abcdefg\n"
    pieces = session.exec(select(LogPiece.offset, LogPiece.text).order_by(LogPiece.offset)).all()
    assert [tuple(piece) for piece in pieces] == [(0, "abc"), (3, "def"), (6, "g")]


def test_log_offsets_count_characters_not_bytes(client: TestClient) -> None:
    receipt = submit(client)
    offer = claim_one(client)
    send_log(client, offer, "ü😀\x00", 0)
    send_log(client, offer, "end", 3)
    assert log(client, receipt.run_id) == "ü😀\ufffdend\n"


def test_each_attempt_has_a_log_of_its_own(client: TestClient) -> None:
    receipt = submit(client)
    first = claim_one(client)
    send_log(client, first, "first\n")
    send_failure(client, first, FailureKind.INTERNAL_ERROR)
    second = claim_one(client, "other")
    assert log(client, receipt.run_id) == "first\n"
    send_log(client, second, "second\n")
    assert log(client, receipt.run_id) == "second\n"


def test_the_tail_of_a_long_log_is_its_last_lines(client: TestClient) -> None:
    receipt = submit(client)
    offer = claim_one(client)
    offset = 0
    for start in range(0, 300, 10):
        text = "".join(f"line {n}\n" for n in range(start, start + 10))
        send_log(client, offer, text, offset)
        offset += len(text)
    assert log(client, receipt.run_id, tail=2) == "line 298\nline 299\n"
    assert log(client, receipt.run_id).startswith("line 200\n")
    assert len(log(client, receipt.run_id, tail=1000).splitlines()) == 300


def test_what_was_spooled_may_arrive_after_the_result(client: TestClient) -> None:
    receipt = submit(client)
    offer = claim_one(client)
    assert send_result(client, offer, run_result()).status_code == 204
    assert send_points(client, offer, points((1,))).status_code == 204
    assert send_log(client, offer, "done\n").status_code == 204
    assert log(client, receipt.run_id) == "done\n"
