from sqlalchemy import Engine, text
from sqlmodel import Session, select
from starlette.testclient import TestClient

from core.schema.ledger import LedgerKind
from server.ledger.histories import MAX_ENTRIES, SubmissionHistory
from server.tables import Job
from tests.server.boards import NORM, measure_baseline
from tests.server.factories import submit, submit_and_finish


def history(client: TestClient, submission_id: str) -> SubmissionHistory:
    response = client.get(f"/api/v1/submissions/{submission_id}/ledger")
    assert response.status_code == 200
    return SubmissionHistory.model_validate_json(response.content)


def test_it_tells_of_the_submission_its_experiment_runs_and_jobs(
    client: TestClient, session: Session
) -> None:
    measure_baseline(client)
    receipt = submit_and_finish(client, "QK-norm", NORM, 1.9)
    told = history(client, receipt.submission_id)
    assert told.submission_id == receipt.submission_id
    numbers = [entry.sequence for entry in told.entries]
    assert numbers == sorted(numbers, reverse=True)
    job_id = session.exec(select(Job.id).where(Job.run_id == receipt.run_id)).one()
    assert {(entry.kind, entry.subject) for entry in told.entries} == {
        (LedgerKind.SUBMISSION, receipt.submission_id),
        (LedgerKind.RUN, receipt.run_id),
        (LedgerKind.JOB, job_id),
        (LedgerKind.RESULT, receipt.run_id),
        (LedgerKind.VERDICT, receipt.experiment_hash),
        (LedgerKind.RECORD, receipt.experiment_hash),
    }


def test_runs_of_others_who_submitted_the_config_are_told_and_their_submissions_not(
    client: TestClient,
) -> None:
    mine = submit(client, "Mine", NORM)
    theirs = submit(client, "Theirs", NORM, author="grace")
    subjects = {entry.subject for entry in history(client, mine.submission_id).entries}
    assert theirs.run_id in subjects
    assert theirs.submission_id not in subjects


def test_canaries_of_the_same_config_are_not_told(client: TestClient, engine: Engine) -> None:
    first = submit_and_finish(client, "Baseline")
    second = submit_and_finish(client, "Baseline")
    with engine.execution_options(writes=True).begin() as connection:
        make = text("UPDATE run SET purpose = 'canary' WHERE id = :run_id")
        connection.execute(make, {"run_id": second.run_id})
    subjects = {entry.subject for entry in history(client, first.submission_id).entries}
    assert first.run_id in subjects
    assert second.run_id not in subjects


def test_the_newest_fifty_are_told(client: TestClient) -> None:
    for _ in range(11):
        last = submit_and_finish(client, "Again", NORM)
    told = history(client, last.submission_id).entries
    # Each run has six entries: queued, run, submission of its own, running, result, succeeded.
    assert len(told) == MAX_ENTRIES
    assert told[0].contents["state"] == "succeeded"


def test_an_unknown_submission_has_no_history(client: TestClient) -> None:
    assert client.get("/api/v1/submissions/s_nothing/ledger").status_code == 404
