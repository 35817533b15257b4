"""Results of workers that are not trusted, until a trusted one has measured the same."""

from typing import Any

import pytest
from sqlmodel import Session, select
from starlette.testclient import TestClient

from core.schema.job import JobState
from core.schema.result import FailureKind, Verification
from server.tables import Job, Priority, Run, RunPurpose
from server.verdict.tables import RecordRow
from tests.server.boards import NORM, RELU, entries_of
from tests.server.factories import API, data_identity, finish, send_failure, submit
from tests.server.trust.conftest import People


@pytest.fixture
def board(people: People) -> People:
    """A board whose baseline the trusted worker `ours` has measured; nothing waits."""
    people.trust_ours()
    people.measure_baseline()
    return people


def row(client: TestClient, name: str) -> dict[str, Any]:
    rows = client.get(f"{API}/tracks/debug/leaderboard").json()["rows"]
    found: dict[str, Any] = next(row for row in rows if row["name"] == name)
    return found


def verifications(session: Session, purpose: RunPurpose = RunPurpose.SUBMISSION) -> list[str]:
    session.rollback()
    query = select(Run).where(Run.purpose == purpose, Run.val_loss != None)  # noqa: E711
    return [run.verification.value for run in session.exec(query.order_by(Run.created_at))]


def purposes(client: TestClient) -> list[str]:
    return [entry["purpose"] for entry in client.get(f"{API}/queue").json()["queued"]]


def test_what_a_stranger_measured_is_shown_as_unverified_and_takes_no_record(
    board: People, session: Session
) -> None:
    receipt = submit(board.ada, "Gain", NORM)
    board.finish_next(1.5, is_trusted=False)
    gain = row(board.ada, "Gain")
    assert (gain["verified"], gain["verdict"]["verdict"]) == (False, "better")
    assert not gain["verdict"]["is_record"]
    assert session.exec(select(RecordRow)).all() == []
    for page in (f"/submissions/{receipt.submission_id}", "/tracks/debug", "/"):
        assert "unverified" in board.ada.get(page).text
    status = board.ada.get(f"{API}/runs/{receipt.run_id}").json()
    assert status["verification"] == "unverified"


def test_one_confirming_job_is_for_a_trusted_worker_alone(board: People, session: Session) -> None:
    submit(board.ada, "Gain", NORM)
    board.finish_next(1.5, is_trusted=False)
    assert purposes(board.ada) == ["confirmation"]
    job = session.exec(select(Job).where(Job.state == JobState.QUEUED)).one()
    assert (job.only_trusted, job.priority) == (True, Priority.CONFIRM)
    assert "of a trusted worker" in board.ada.get("/queue").text
    # Another result of the same experiment asks for no second one.
    submit(board.ada, "Gain again", NORM)
    board.finish_next(1.5, is_trusted=False)
    assert purposes(board.ada) == ["confirmation"]
    assert board.offer(is_trusted=False) is None
    assert board.offer(is_trusted=True) is not None


def test_a_trusted_run_that_agrees_verifies_and_lets_the_row_take_the_record(
    board: People, session: Session
) -> None:
    submit(board.ada, "Gain", NORM)
    board.finish_next(1.5, is_trusted=False)
    board.finish_next(1.505, is_trusted=True)
    assert row(board.ada, "Gain")["verified"]
    assert verifications(session)[-1] == "verified"
    # Now it is worth a third seed, which anybody may bring.
    assert purposes(board.ada) == ["verdict"]
    board.finish_next(1.5, is_trusted=False)
    gain = row(board.ada, "Gain")
    assert gain["verified"]
    assert gain["verdict"]["is_record"]
    assert board.ada.get(f"{API}/ledger/check").json()["faults"] == []


def test_a_trusted_run_that_disagrees_has_the_others_held_with_the_reason(
    board: People, session: Session
) -> None:
    receipt = submit(board.ada, "Forged", NORM)
    board.finish_next(1.5, is_trusted=False)
    board.finish_next(2.0, is_trusted=True)
    session.rollback()
    forged = session.get_one(Run, receipt.run_id)
    assert forged.verification is Verification.REFUTED
    assert forged.held_reason == (
        "Trusted workers measured 2.0000 in 1 run of the same config; 1.5000 differs from it by "
        "more than the noise of the board explains at 99 %."
    )
    assert forged.held_reason in board.ada.get(f"/submissions/{receipt.submission_id}").text
    shown = row(board.ada, "Forged")
    assert (shown["verified"], shown["result"]["val_loss"]) == (True, 2.0)
    worker_id = session.exec(select(Job.worker_id).where(Job.run_id == receipt.run_id)).one()
    held = [entry.contents for entry in entries_of(session, [str(worker_id)])]
    assert [(one["state"], one["runs"]) for one in held] == [("held", [receipt.run_id])]
    assert board.ada.get(f"{API}/ledger/check").json()["faults"] == []


def test_one_made_up_run_among_honest_ones_is_held_alone(board: People, session: Session) -> None:
    for loss in (2.0, 1.5, 2.005):
        submit(board.ada, "Mixed", NORM)
        board.finish_next(loss, is_trusted=False)
    board.finish_next(2.0, is_trusted=True)
    assert verifications(session)[-3:] == ["verified", "refuted", "verified"]
    assert row(board.ada, "Mixed")["result"]["num_runs"] == 3


def test_without_a_trusted_worker_nothing_is_judged_and_the_baseline_waits(
    people: People, session: Session
) -> None:
    for loss in (2.0, 2.01, 1.99, 2.005, 1.995):
        submit(people.ada, "Baseline")
        people.finish_next(loss, is_trusted=False)
    submit(people.ada, "Gain", NORM)
    people.finish_next(1.5, is_trusted=False)
    board = people.ada.get(f"{API}/tracks/debug/leaderboard").json()
    assert board["baseline"] is None
    assert board["rows"][0]["verdict"] is None
    assert board["pending"] == "The baseline has 0 of the 5 runs that a verdict needs."
    assert purposes(people.ada) == ["baseline"] * 5
    assert people.offer(is_trusted=False) is None
    assert session.exec(select(RecordRow)).all() == []


def test_the_first_trusted_worker_gets_what_waits_to_be_verified(people: People) -> None:
    submit(people.ada, "Gain", NORM)
    people.finish_next(1.5, is_trusted=False)
    assert "confirmation" not in purposes(people.ada)
    people.trust_ours()
    assert purposes(people.ada).count("confirmation") == 1


def test_distrust_takes_the_record_and_trust_gives_it_back(board: People, session: Session) -> None:
    submit(board.ada, "Gain", NORM)
    board.finish_next(1.5, is_trusted=False)
    board.mark("theirs", True)
    assert row(board.ada, "Gain")["verdict"]["is_record"]
    board.mark("theirs", False)
    gain = row(board.ada, "Gain")
    assert (gain["verified"], gain["verdict"]["is_record"]) == (False, False)
    lost = session.exec(select(RecordRow)).one()
    assert lost.lost_reason == "No trusted worker has verified it."
    board.mark("theirs", True)
    assert row(board.ada, "Gain")["verdict"]["is_record"]
    assert board.ada.get(f"{API}/ledger/check").json()["faults"] == []


def test_a_worker_that_is_trusted_after_all_gets_its_held_runs_back(
    board: People, session: Session
) -> None:
    receipt = submit(board.ada, "Doubtful", NORM)
    board.finish_next(1.5, is_trusted=False)
    board.finish_next(2.0, is_trusted=True)
    board.mark("theirs", True)
    session.rollback()
    run = session.get_one(Run, receipt.run_id)
    assert (run.verification, run.held_reason) == (Verification.TRUSTED, "")
    assert board.ada.get(f"{API}/ledger/check").json()["faults"] == []


def test_made_up_noise_neither_widens_intervals_nor_hides_a_made_up_run(
    board: People, session: Session
) -> None:
    for loss in (1.0, 3.0, 1.0, 3.0):
        submit(board.ada, "Noise", RELU)
        board.finish_next(loss, is_trusted=False)
    while (offer := board.offer(is_trusted=True)) is not None:
        finish(board.owner, offer, 2.0)
    assert verifications(session)[1:] == ["refuted"] * 4
    submit(board.ada, "Gain", NORM)
    board.finish_next(1.9, is_trusted=True)
    verdict = row(board.ada, "Gain")["verdict"]
    assert verdict["high"] - verdict["low"] < 0.15


def test_a_baseline_of_strangers_counts_once_it_agrees(board: People, session: Session) -> None:
    for loss in (2.004, 1.5):
        submit(board.ada, "Baseline")
        board.finish_next(loss, is_trusted=False)
    assert verifications(session)[-2:] == ["verified", "refuted"]
    baseline = board.ada.get(f"{API}/tracks/debug/leaderboard").json()["baseline"]
    assert baseline["result"]["num_runs"] == 6


def test_a_confirming_run_that_fails_is_asked_for_again_and_then_left(board: People) -> None:
    submit(board.ada, "Gain", NORM)
    board.finish_next(1.5, is_trusted=False)
    failures = 0
    while (offer := board.offer(is_trusted=True)) is not None:
        send_failure(board.owner, offer, FailureKind.OUT_OF_MEMORY)
        failures += 1
    assert failures == 4
    assert not row(board.ada, "Gain")["verified"]


def test_only_a_trusted_workers_data_is_proposed_as_the_tracks(people: People) -> None:
    submit(people.ada, "Baseline")
    people.finish_next(2.0, is_trusted=False)

    def states() -> dict[str, str]:
        keys = people.ada.get(f"{API}/tracks/debug/leaderboard").json()["keys"]
        return {key["key"]: key["data"] for key in keys}

    first, second = (data_identity(letter).comparability_key("debug", 1) for letter in "be")
    assert states() == {first: "unverified"}
    assert "No trusted worker has this data" in people.ada.get("/tracks/debug").text
    people.trust_ours()
    submit(people.ada, "Elsewhere", RELU)
    offer = people.offer(is_trusted=True)
    while offer is not None and offer.run.seed == 1001:
        finish(people.owner, offer, 2.0, validation="e")
        offer = people.offer(is_trusted=True)
    assert offer is not None
    finish(people.owner, offer, 2.0, validation="e")
    assert states() == {first: "unverified", second: "proposed"}
