import pytest
from fastapi import FastAPI
from sqlalchemy import Engine
from sqlmodel import Session, select
from starlette.testclient import TestClient

from core.schema.job import JobOffer, JobState, ResultReport
from core.schema.track import Track
from server.database import write_session
from server.results import store_result
from server.settings import ServerSettings
from server.tables import Job, Run
from tests.server.factories import (
    API,
    claim_one,
    data_identity,
    report,
    run_result,
    send_result,
    submit,
    submit_and_finish,
)
from tests.server.statements import sent_statements

MAX_STATEMENTS = 10
"""Of a result's transaction, and one for the charge where an author pays."""


def test_a_result_is_stored_by_few_statements_however_long_the_board_is(
    client: TestClient, engine: Engine, tracks: dict[str, Track], settings: ServerSettings
) -> None:
    def statements(offer: JobOffer) -> int:
        result = run_result(offer.run.seed)
        report = ResultReport(lease_token=offer.lease_token, result=result)
        with sent_statements(engine) as statements, write_session(engine) as session:
            store_result(session, offer.job_id, report, tracks, settings)
        return len(statements)

    for number in range(3):
        submit(client, f"n{number}", {"optimizer.muon.learning_rate": 0.011 + number / 100})
        assert statements(claim_one(client)) == MAX_STATEMENTS + 1


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


def test_the_largest_speed_against_the_smallest_anchor_is_a_number(client: TestClient) -> None:
    receipt = submit(client)
    offer = claim_one(client)
    result = run_result(baseline_speed=1e-3).model_dump(mode="json")
    result["tokens_per_second"] = 1e12
    smallest = {**result, "anchor": {**result["anchor"], "tokens_per_second": 5e-324}}
    refused = report(client, offer, "result", result=smallest)
    assert refused.status_code == 422
    assert refused.json()["problems"][0]["path"] == "result.anchor.tokens_per_second"
    assert report(client, offer, "result", result=result).status_code == 204
    status = client.get(f"{API}/runs/{receipt.run_id}").json()
    assert status["result"]["relative_speed"] == pytest.approx(1e15)
    assert client.get("/tracks/debug").status_code == 200


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
