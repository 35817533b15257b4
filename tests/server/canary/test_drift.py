"""Drift as it comes about: a worker's canaries move, and it is measured anew."""

from typing import Any

import pytest
from fastapi import FastAPI
from sqlmodel import Session, select
from starlette.testclient import TestClient

from core.schema.job import JobOffer
from server.canary.tables import WorkerFreeze
from server.database import write_session
from server.tables import Job, Run, SubmissionRow, utc_now
from tests.server.boards import BASELINE_LOSSES, NORM, queueing, verdicts
from tests.server.canary.workers import (
    age,
    board_in_control,
    canary,
    finish_waiting,
    is_canary,
    next_offer,
    work_until_canary,
)
from tests.server.factories import API, claim, finish, register, run_result, send_result, submit


def workers(client: TestClient) -> dict[str, Any]:
    return {worker["name"]: worker for worker in client.get(f"{API}/workers").json()["workers"]}


def measured_by(client: TestClient, worker: str, loss: float) -> str:
    """A new experiment that a worker measures; its submission's id."""
    submission = submit(client, "Norm", NORM).submission_id
    offer = claim(client, register(client, worker))
    assert offer is not None
    finish(client, offer, loss)
    return submission


def finish_anew(client: TestClient, losses: tuple[float, ...]) -> list[JobOffer]:
    """Let the frozen worker measure its baseline anew."""
    offers = []
    for loss in losses:
        offer = claim(client, register(client))
        assert offer is not None
        finish(client, offer, loss)
        offers.append(offer)
    return offers


def drift(client: TestClient, session: Session) -> None:
    """A gain that `bench` measures after its last good canary, and a canary that is out."""
    board_in_control(client, session)
    measured_by(client, "bench", 1.5)
    canary(client, session, 2.03)


def test_canaries_within_the_limits_are_in_control(watching: TestClient, session: Session) -> None:
    board_in_control(watching, session)
    canary(watching, session, 2.0236)
    (chart,) = workers(watching)["bench"]["canaries"]
    assert [point["val_loss"] for point in chart["points"]] == [1.999, 2.0, 2.001, 2.0236]
    assert not any(point["is_out"] for point in chart["points"])
    # Three times √(2.5e-4 / 4) around 2.
    assert (chart["low"], chart["centre"], chart["high"]) == pytest.approx(
        (1.97628, 2.0, 2.02372), abs=1e-5
    )
    assert workers(watching)["bench"]["frozen"] == []


def test_drift_freezes_the_worker_and_says_why(watching: TestClient, session: Session) -> None:
    drift(watching, session)
    bench = workers(watching)["bench"]
    (note,) = bench["frozen"]
    assert note["track"] == "debug"
    assert "2.0300, outside of 1.9763 to 2.0237" in note["reason"]
    assert bench["canaries"][0]["points"][-1]["is_out"]
    entries = watching.get(f"{API}/ledger?limit=1000").json()["entries"]
    told = [entry for entry in entries if entry["kind"] == "worker"]
    assert [entry["contents"]["state"] for entry in told] == ["frozen"]
    assert told[0]["contents"]["reason"] == note["reason"]
    page = watching.get("/queue").text
    assert "outside of 1.9763 to 2.0237" in page
    assert page.count('class="out"') == 1
    assert "style=" not in page


def test_verdicts_leave_out_what_was_measured_since_the_last_good_canary(
    watching: TestClient, session: Session
) -> None:
    board_in_control(watching, session)
    before = {name for name, _ in verdicts(watching)}
    gain = measured_by(watching, "bench", 1.5)
    ((_, row),) = [(name, row) for name, row in verdicts(watching) if name == "Norm"]
    assert row["verdict"]["verdict"] == "better"
    canary(watching, session, 2.03)
    assert {name for name, _ in verdicts(watching)} == before
    page = watching.get(f"/submissions/{gain}").text
    assert "Held, not in the verdict" in page
    assert "outside of 1.9763 to 2.0237" in page
    # Kept, all the same.
    assert "1.5000" in page
    board = watching.get(f"{API}/tracks/debug/leaderboard").json()
    assert board["baseline"]["result"]["num_runs"] == 5


def test_the_page_of_a_held_result_says_that_it_is_held_and_why(
    watching: TestClient, session: Session
) -> None:
    board_in_control(watching, session)
    submission = measured_by(watching, "bench", 1.5)
    before = watching.get(f"/submissions/{submission}").text
    canary(watching, session, 2.03)
    after = watching.get(f"/submissions/{submission}").text
    assert "and in no figure here" not in before
    # The baseline is 2 ± 3 × 0.0079.
    said = "1 of 1 run held, and in no figure here. A canary measured 2.0300, outside of 1.9763"
    assert said in after


def test_results_from_before_the_last_good_canary_still_count(
    watching: TestClient, session: Session
) -> None:
    board_in_control(watching, session)
    measured_by(watching, "bench", 1.5)
    canary(watching, session, 2.0)
    canary(watching, session, 2.03)
    assert "Norm" in dict(verdicts(watching))


def test_results_of_other_workers_still_count(watching: TestClient, session: Session) -> None:
    board_in_control(watching, session)
    measured_by(watching, "other", 1.5)
    canary(watching, session, 2.03)
    assert "Norm" in dict(verdicts(watching))


def test_a_frozen_worker_gets_its_baseline_alone(watching: TestClient, session: Session) -> None:
    drift(watching, session)
    waiting = submit(watching, "Waits", {"model.hidden_size": 64}).run_id
    offers = finish_anew(watching, (2.2, 2.2, 2.2, 2.2, 2.2))
    # The canary and five runs of the baseline have the seeds 1000 to 1004.
    assert [offer.run.seed for offer in offers] == [1005, 1006, 1007, 1008, 1009]
    assert all(is_canary(session, offer) for offer in offers)
    assert claim(watching, register(watching)) is None
    assert waiting in [offer.run.run_id for offer in finish_waiting(watching, worker="other")]


def test_a_baseline_that_agrees_thaws_the_worker(watching: TestClient, session: Session) -> None:
    drift(watching, session)
    finish_anew(watching, BASELINE_LOSSES)
    assert workers(watching)["bench"]["frozen"] == []
    row = dict(verdicts(watching))["Norm"]
    assert (row["verdict"]["verdict"], row["result"]["num_runs"]) == ("better", 1)
    session.rollback()
    assert set(session.exec(select(Run.held_reason))) == {""}
    freeze = session.exec(select(WorkerFreeze)).one()
    assert freeze.outcome == (
        "Its baseline, measured anew, agrees with the board's: 2.0000 in 5 runs against 2.0000 in 5."
    )
    # The board's baseline is still the five runs that it had.
    board = watching.get(f"{API}/tracks/debug/leaderboard").json()
    assert board["baseline"]["result"]["num_runs"] == 5
    assert watching.get(f"{API}/ledger/check").json()["faults"] == []


def test_a_baseline_that_differs_does_not(watching: TestClient, session: Session) -> None:
    drift(watching, session)
    finish_anew(watching, tuple(loss + 0.03 for loss in BASELINE_LOSSES))
    (note,) = workers(watching)["bench"]["frozen"]
    assert "differs from the board's: 2.0300 in 5 runs against 2.0000 in 5." in note["outcome"]
    assert note["outcome"] in watching.get("/queue").text.replace("&#39;", "'")
    assert "Norm" not in dict(verdicts(watching))


def test_a_worker_that_differs_is_measured_again_a_day_later(
    watching: TestClient, session: Session
) -> None:
    drift(watching, session)
    finish_anew(watching, (2.2, 2.2, 2.2, 2.2, 2.2))
    assert claim(watching, register(watching)) is None
    age(session)
    # The earlier five do not count any more: the machine may have been repaired.
    offers = finish_anew(watching, BASELINE_LOSSES)
    assert [offer.run.seed for offer in offers] == [1010, 1011, 1012, 1013, 1014]
    assert workers(watching)["bench"]["frozen"] == []


def test_a_result_that_arrives_during_the_freeze_is_held(
    watching: TestClient, session: Session
) -> None:
    board_in_control(watching, session)
    late = next_offer(watching)
    offer = work_until_canary(watching, session)
    finish(watching, offer, 2.03)
    finish(watching, late, 1.5)
    session.rollback()
    assert "outside of" in session.get_one(Run, late.run.run_id).held_reason
    entries = watching.get(f"{API}/ledger?limit=1000").json()["entries"]
    told = [entry["contents"] for entry in entries if entry["kind"] == "worker"][-1]
    assert (told["state"], told["runs"]) == ("held", [late.run.run_id])
    assert watching.get(f"{API}/ledger/check").json()["faults"] == []


def test_results_of_another_setup_stay_held_after_the_thaw(
    watching: TestClient, session: Session
) -> None:
    board_in_control(watching, session)
    late = next_offer(watching)
    finish(watching, work_until_canary(watching, session), 2.03)
    result = run_result(late.run.seed, 1.5)
    provenance = result.provenance.model_copy(update={"driver": "580.1"})
    send_result(watching, late, result.model_copy(update={"provenance": provenance}))
    finish_anew(watching, BASELINE_LOSSES)
    session.rollback()
    held = session.exec(select(Run).where(Run.held_reason != "")).all()
    assert [run.id for run in held] == [late.run.run_id]
    assert held[0].held_reason == (
        "Measured with cpu, driver 580.1, PyTorch 2.11.0, before the worker had "
        "cpu, PyTorch 2.11.0."
    )


def test_limits_start_anew_after_a_thaw(watching: TestClient, session: Session) -> None:
    drift(watching, session)
    finish_anew(watching, BASELINE_LOSSES)
    canary(watching, session, 2.03)
    assert workers(watching)["bench"]["frozen"] == []
    assert workers(watching)["bench"]["canaries"][0]["centre"] is None
    for loss in (2.03, 2.03, 2.0):
        canary(watching, session, loss)
    # The new centre is 2.03.
    (note,) = workers(watching)["bench"]["frozen"]
    assert "2.0000, outside of 2.0063 to 2.0537" in note["reason"]


def test_a_board_whose_baseline_is_held_has_no_verdicts(
    watching: TestClient, session: Session
) -> None:
    baseline = board_in_control(watching, session)
    measured_by(watching, "other", 1.5)
    assert dict(verdicts(watching))["Norm"]["verdict"]["verdict"] == "better"
    identity = session.get_one(SubmissionRow, baseline).experiment_hash
    bench = register(watching)
    with write_session(session.get_bind()) as later:
        for run in later.exec(select(Run).where(Run.experiment_hash == identity)):
            # As if the worker had measured the baseline after its last good canary.
            run.finished_at = utc_now()
            job = later.exec(select(Job).where(Job.run_id == run.id)).one()
            job.worker_id = bench
    canary(watching, session, 2.03)
    board = watching.get(f"{API}/tracks/debug/leaderboard").json()
    assert dict(verdicts(watching))["Norm"]["verdict"] is None
    assert board["pending"] == "The baseline has 0 of the 5 runs that a verdict needs."
    finish_anew(watching, BASELINE_LOSSES)
    (note,) = workers(watching)["bench"]["frozen"]
    assert note["outcome"].startswith("The board has no other runs of the baseline")


def test_a_held_result_is_measured_again_by_another_worker(
    app: FastAPI, watching: TestClient, session: Session
) -> None:
    board_in_control(watching, session)
    queueing(app)
    measured_by(watching, "bench", 2.5)
    canary(watching, session, 2.03)
    again = finish_waiting(watching, 2.5, "other")
    norm = [offer for offer in again if offer.run.experiment.model.attention.qk_norm]
    assert [offer.run.seed for offer in norm] == [1001]
    assert dict(verdicts(watching))["Norm"]["verdict"]["verdict"] == "worse"
