from collections.abc import Mapping

from sqlalchemy import Engine
from sqlmodel import Session, select
from starlette.testclient import TestClient

from core.schema.job import RunSpec, RunStatus
from core.schema.result import FailureKind
from core.schema.track import Track
from server.tables import Experiment
from tests.server.factories import (
    API,
    claim_one,
    finish,
    heartbeat,
    points,
    send_failure,
    send_log,
    send_points,
    submit,
)


def status(client: TestClient, run_id: str) -> RunStatus:
    response = client.get(f"{API}/runs/{run_id}")
    assert response.status_code == 200
    return RunStatus.model_validate_json(response.content)


def test_a_queued_run_knows_how_many_jobs_are_ahead(client: TestClient) -> None:
    first = submit(client, "One")
    second = submit(client, "Two")
    waiting = status(client, second.run_id)
    assert (waiting.state, waiting.jobs_ahead, waiting.attempt) == ("queued", 1, 0)
    assert (waiting.name, waiting.submission_id) == ("Two", second.submission_id)
    assert waiting.url == f"http://board.test/submissions/{second.submission_id}"
    assert claim_one(client).run.run_id == first.run_id
    assert status(client, second.run_id).jobs_ahead == 0
    assert status(client, first.run_id).jobs_ahead is None


def test_a_running_run_shows_its_newest_metrics(client: TestClient) -> None:
    receipt = submit(client)
    offer = claim_one(client)
    assert status(client, receipt.run_id).latest is None
    heartbeat(client, offer, "training", 50, 250)
    send_points(client, offer, points((25, 50)))
    running = status(client, receipt.run_id)
    assert (running.state, running.attempt, running.phase) == ("running", 1, "training")
    assert running.latest == points((50,))[0]


def test_a_finished_run_is_in_no_phase(client: TestClient) -> None:
    receipt = submit(client)
    offer = claim_one(client)
    heartbeat(client, offer, "evaluating", 1, 1)
    finish(client, offer, val_loss=2.0)
    done = status(client, receipt.run_id)
    assert (done.state, done.phase, done.failure) == ("succeeded", None, None)
    assert done.result is not None
    assert done.result.val_loss == 2.0


def test_a_failed_run_tells_its_fault_its_advice_and_the_end_of_its_log(
    client: TestClient,
) -> None:
    receipt = submit(client)
    offer = claim_one(client)
    send_log(client, offer, "".join(f"line {n}\n" for n in range(150)))
    assert status(client, receipt.run_id).last_lines == ()
    send_failure(client, offer, FailureKind.OUT_OF_MEMORY, "24 GiB")
    failed = status(client, receipt.run_id)
    assert failed.failure is FailureKind.OUT_OF_MEMORY
    assert (failed.failure_message, failed.failure_fault) == ("24 GiB", "the submission's fault")
    assert failed.failure_advice == FailureKind.OUT_OF_MEMORY.advice
    assert failed.last_lines == tuple(f"line {n}" for n in range(50, 150))
    detail = client.get(f"{API}/submissions/{receipt.submission_id}").json()
    assert detail["run"]["last_lines"] == list(failed.last_lines)


def test_a_run_can_be_trained_again_from_its_spec(client: TestClient) -> None:
    receipt = submit(client, overrides={"model.attention.qk_norm": "true"})
    offer = claim_one(client)
    finish(client, offer)
    response = client.get(f"{API}/runs/{receipt.run_id}/spec")
    assert RunSpec.model_validate_json(response.content) == offer.run
    assert offer.run.experiment.model.attention.qk_norm
    assert offer.run.seed == receipt.seed


def test_a_job_names_the_baseline_that_its_speed_is_a_ratio_to(
    client: TestClient, tracks: Mapping[str, Track]
) -> None:
    submit(client, overrides={"model.attention.qk_norm": "true"})
    assert claim_one(client).run.anchor == tracks["debug"].base


def test_a_config_that_this_version_cannot_read_is_not_given_out(
    client: TestClient, engine: Engine
) -> None:
    receipt = submit(client)
    with Session(engine) as session:
        experiment = session.exec(select(Experiment)).one()
        experiment.config = {**experiment.config, "of_an_earlier_version": 1}
        session.add(experiment)
        session.commit()
    response = client.get(f"{API}/runs/{receipt.run_id}/spec")
    assert response.status_code == 404
    assert "cannot read it" in response.json()["message"]


def test_an_unknown_run_is_not_found(client: TestClient) -> None:
    for path in ("", "/metrics", "/log", "/spec"):
        response = client.get(f"{API}/runs/r_nobody{path}")
        assert (response.status_code, response.json()["kind"]) == (404, "not_found")
