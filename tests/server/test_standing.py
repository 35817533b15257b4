import pytest
from sqlmodel import Session
from starlette.testclient import TestClient

from core.schema.job import JobState, Phase
from core.schema.result import FailureKind
from server import standing as standing_module
from server.standing import (
    active_runs,
    count_active,
    count_active_runs,
    ended_runs,
    experiment_runs,
)
from tests.server.factories import (
    API,
    claim_one,
    finish,
    heartbeat,
    send_failure,
    submit,
    submit_and_finish,
)


def test_a_run_passes_through_its_states(client: TestClient, session: Session) -> None:
    receipt = submit(client)

    def standing() -> tuple[JobState, Phase | None, str | None, bool]:
        session.rollback()
        [run] = experiment_runs(session, receipt.experiment_hash)
        return run.state, run.phase, run.worker, run.result is not None

    assert standing() == (JobState.QUEUED, None, None, False)
    offer = claim_one(client, "rig")
    heartbeat(client, offer, "compiling")
    assert standing() == (JobState.RUNNING, Phase.COMPILING, "rig", False)
    finish(client, offer)
    assert standing() == (JobState.SUCCEEDED, None, "rig", True)


def test_runs_of_an_experiment_come_in_order_of_seeds(client: TestClient, session: Session) -> None:
    receipt = submit_and_finish(client)
    submit_and_finish(client)
    submit(client)
    runs = experiment_runs(session, receipt.experiment_hash)
    assert [(run.seed, run.state) for run in runs] == [
        (1000, JobState.SUCCEEDED),
        (1001, JobState.SUCCEEDED),
        (1002, JobState.QUEUED),
    ]


def test_only_jobs_before_it_are_ahead_of_a_queued_run(
    client: TestClient, session: Session
) -> None:
    submit(client, "Other track", track="gpu_24gb")
    submit(client, "First")
    submit(client, "Second", {"model.dropout": 0.1})
    assert [run.jobs_ahead for run in active_runs(session, "debug")] == [1, 2]


def test_a_long_queue_is_listed_up_to_a_limit_and_counted_whole(
    client: TestClient, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(4):
        submit(client, f"Run {index}", {"model.dropout": index / 10})
    submit(client, "Other track", track="gpu_24gb")
    begun = claim_one(client)
    monkeypatch.setattr(standing_module, "MAX_ACTIVE", 2)
    listed = active_runs(session, "debug")
    assert [(run.state, run.jobs_ahead) for run in listed] == [("running", None), ("queued", 0)]
    assert count_active(session, "debug") == {JobState.RUNNING: 1, JobState.QUEUED: 3}
    hashes = [run.experiment_hash for run in listed]
    assert listed[0].run_id == begun.run.run_id
    assert count_active_runs(session, [*hashes, "unknown"]) == dict.fromkeys(hashes, 1)


def test_failed_and_cancelled_runs_have_ended(client: TestClient, session: Session) -> None:
    submit(client, "Fails")
    send_failure(client, claim_one(client), FailureKind.OUT_OF_MEMORY, "24 GiB")
    withdrawn = submit(client, "Withdrawn", {"model.dropout": 0.1}).submission_id
    client.post(f"{API}/submissions/{withdrawn}/cancel")
    assert active_runs(session, "debug") == ()
    assert [(run.state, run.failure) for run in ended_runs(session, "debug")] == [
        (JobState.CANCELLED, FailureKind.CANCELLED),
        (JobState.FAILED, FailureKind.OUT_OF_MEMORY),
    ]
