import threading

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine
from sqlmodel import Session, select
from starlette.testclient import TestClient

from core.schema.job import JobState
from core.schema.result import FailureKind
from server.tables import Job, LogPiece, Metric, Run
from tests.server.factories import (
    API,
    claim_one,
    data_identity,
    points,
    run_result,
    send_failure,
    send_log,
    send_points,
    send_result,
    submit,
    submit_and_finish,
)
from tests.server.statements import sent_statements


def test_a_result_sends_no_more_statements_however_long_the_board_is(
    client: TestClient, engine: Engine
) -> None:
    for number in range(3):
        submit(client, f"n{number}", {"optimizer.muon.learning_rate": 0.011 + number / 100})
        offer = claim_one(client)
        with sent_statements(engine) as statements:
            assert send_result(client, offer, run_result()).status_code == 204
        assert len(statements) <= 45


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


def test_a_result_is_stored_with_its_key_and_its_cost(client: TestClient, session: Session) -> None:
    receipt = submit(client)
    offer = claim_one(client)
    result = run_result(1000, 2.5, train_seconds=84.0, compile_seconds=6.0)
    assert send_result(client, offer, result).status_code == 204
    run = session.get_one(Run, receipt.run_id)
    assert run.result == result.model_dump(mode="json")
    assert run.comparability_key == result.provenance.data.comparability_key("debug", 1)
    assert run.val_loss == 2.5
    # (6 s + 84 s) of a processor at 0.04 $/h; evaluation and data are not paid for.
    assert run.cost_usd == pytest.approx(0.001)
    status = client.get(f"{API}/runs/{receipt.run_id}").json()
    assert status["state"] == "succeeded"
    assert status["result"] == result.model_dump(mode="json")
    assert status["cost_usd"] == pytest.approx(0.001)


def test_every_device_of_a_run_is_paid_for(client: TestClient, session: Session) -> None:
    receipt = submit(client)
    result = run_result(1000, 2.5, train_seconds=84.0, compile_seconds=6.0)
    four = result.provenance.model_copy(update={"num_devices": 4})
    send_result(client, claim_one(client), result.model_copy(update={"provenance": four}))
    # Four times 90 s at 0.04 $/h.
    assert session.get_one(Run, receipt.run_id).cost_usd == pytest.approx(0.004)
    assert "4 × cpu" in client.get(f"/submissions/{receipt.submission_id}").text


def test_a_device_without_a_price_has_no_cost(client: TestClient, session: Session) -> None:
    submit(client)
    send_result(client, claim_one(client), run_result(device="Abacus 9000"))
    assert session.exec(select(Run.cost_usd)).one() is None


def test_a_result_sent_twice_is_stored_once(client: TestClient, session: Session) -> None:
    submit(client)
    offer = claim_one(client)
    assert send_result(client, offer, run_result(val_loss=2.0)).status_code == 204
    finished = session.exec(select(Run.finished_at)).one()
    session.rollback()
    assert send_result(client, offer, run_result(val_loss=1.0)).status_code == 204
    row = session.exec(select(Run)).one()
    assert (row.val_loss, row.finished_at) == (2.0, finished)


def test_a_result_of_another_seed_is_refused(client: TestClient, session: Session) -> None:
    submit(client)
    offer = claim_one(client)
    response = send_result(client, offer, run_result(seed=7))
    assert response.status_code == 422
    assert response.json()["kind"] == "invalid_report"
    assert response.json()["problems"][0]["path"] == "result.seed"
    assert session.exec(select(Job.state)).one() is JobState.RUNNING
    assert send_result(client, offer, run_result(seed=1000)).status_code == 204


def pin(app: FastAPI) -> None:
    """Pin the data of the debug track to that of `factories.run_result`."""
    track = app.state.tracks["debug"]
    rules = track.rules.model_copy(update={"expected_data": data_identity()})
    app.state.tracks = app.state.tracks | {"debug": track.model_copy(update={"rules": rules})}


def test_other_data_than_the_tracks_is_refused(app: FastAPI, client: TestClient) -> None:
    pin(app)
    submit(client)
    offer = claim_one(client)
    assert offer.run.expected_data == data_identity()
    result = run_result(offer.run.seed, validation="e")
    answer = send_result(client, offer, result)
    assert answer.status_code == 422
    (problem,) = answer.json()["problems"]
    assert problem["path"] == "result.provenance.data"
    assert "validation text differ" in problem["message"]
    assert send_result(client, offer, run_result(offer.run.seed)).status_code == 204
    (key,) = client.get("/api/v1/tracks/debug/leaderboard").json()["keys"]
    assert key["data"] == "pinned"


def test_a_mirrors_result_has_a_board_of_its_own(app: FastAPI, client: TestClient) -> None:
    pin(app)
    submit(client)
    offer = claim_one(client)
    result = run_result(offer.run.seed, validation="e")
    provenance = result.provenance.model_copy(update={"is_mirror": True})
    result = result.model_copy(update={"provenance": provenance})
    assert send_result(client, offer, result).status_code == 204
    (key,) = client.get("/api/v1/tracks/debug/leaderboard").json()["keys"]
    assert key["data"] == "other"
    assert "Measured on other data" in client.get("/tracks/debug").text


def test_data_that_nobody_pinned_is_a_proposal(client: TestClient) -> None:
    submit_and_finish(client)
    (key,) = client.get("/api/v1/tracks/debug/leaderboard").json()["keys"]
    assert key["data"] == "proposed"


def test_the_tracks_own_data_is_shown_before_a_newer_mirror(
    app: FastAPI, client: TestClient
) -> None:
    pin(app)
    submit(client)
    offer = claim_one(client)
    send_result(client, offer, run_result(offer.run.seed))
    submit(client)
    offer = claim_one(client)
    result = run_result(offer.run.seed, validation="e")
    provenance = result.provenance.model_copy(update={"is_mirror": True})
    send_result(client, offer, result.model_copy(update={"provenance": provenance}))
    keys = client.get("/api/v1/tracks/debug/leaderboard").json()["keys"]
    assert [key["data"] for key in keys] == ["pinned", "other"]
