from fastapi import FastAPI
from sqlmodel import Session, select
from starlette.testclient import TestClient

from core.schema.job import JobState
from server.tables import Job, Run, RunPurpose
from server.verdict.tables import RecordRow
from tests.server.boards import (
    BASELINE_LOSSES,
    NORM,
    RELU,
    finish_next,
    measure_baseline,
    queueing,
    verdicts,
)
from tests.server.factories import data_identity, submit


def withdraw(client: TestClient, identity: str, author: str = "ada", reason: str = "A mistake."):
    body = {"author": author, "reason": reason}
    return client.post(f"/api/v1/submissions/{identity}/withdraw", json=body)


def rerun(client: TestClient, identity: str, author: str = "grace"):
    return client.post(f"/api/v1/submissions/{identity}/rerun", json={"author": author})


def test_a_withdrawn_row_stays_with_its_reason_and_has_no_rank(client: TestClient) -> None:
    measure_baseline(client)
    gain = submit(client, "Gain", NORM)
    finish_next(client, 1.5)
    submit(client, "Other", RELU)
    finish_next(client, 1.9)
    assert withdraw(client, gain.submission_id).status_code == 200
    assert [(name, row["rank"]) for name, row in verdicts(client)] == [("Other", 1), ("Gain", None)]
    note = dict(verdicts(client))["Gain"]["withdrawn"]
    assert (note["reason"], note["requested_by"]) == ("A mistake.", "ada")
    page = client.get(f"/submissions/{gain.submission_id}").text
    assert "Withdrawn by ada" in page
    assert client.get("/api/v1/ledger/check").json()["faults"] == []


def test_a_withdrawn_record_gives_way_to_the_one_before(
    client: TestClient, session: Session
) -> None:
    measure_baseline(client)
    submit(client, "First", NORM)
    finish_next(client, 1.5)
    second = submit(client, "Second", RELU)
    finish_next(client, 1.2)
    withdraw(client, second.submission_id)
    held = {name: row["verdict"]["is_record"] for name, row in verdicts(client)}
    assert held == {"First": True, "Second": False}
    lost = [record.lost_reason for record in session.exec(select(RecordRow))]
    assert lost == ["", "Withdrawn: A mistake."]


def test_an_experiment_counts_as_long_as_one_of_its_authors_stands_by_it(
    client: TestClient,
) -> None:
    measure_baseline(client)
    first = submit(client, "Gain", NORM)
    finish_next(client, 1.5)
    submit(client, "Gain too", NORM, author="grace")
    withdraw(client, first.submission_id)
    assert [row["rank"] for _, row in verdicts(client)] == [1]


def test_what_was_withdrawn_gets_no_further_runs(
    app: FastAPI, client: TestClient, session: Session
) -> None:
    measure_baseline(client, BASELINE_LOSSES * 2)
    queueing(app)
    receipt = submit(client, "Gain", NORM)
    withdraw(client, receipt.submission_id)
    finish_next(client, 1.5)
    assert client.get("/api/v1/queue").json()["queued"] == []
    assert dict(verdicts(client))["Gain"]["verdict"]["verdict"] == "better"


def test_only_the_author_withdraws(client: TestClient) -> None:
    receipt = submit(client, "Gain", NORM)
    answer = withdraw(client, receipt.submission_id, author="grace")
    assert answer.status_code == 422
    (problem,) = answer.json()["problems"]
    assert problem["path"] == "author"
    assert "'grace' is not the author" in problem["message"]
    assert "'ada'" in problem["message"]
    assert withdraw(client, "s_nothing").status_code == 404
    assert withdraw(client, receipt.submission_id, reason="").status_code == 422


def test_withdrawing_twice_changes_nothing(client: TestClient) -> None:
    receipt = submit(client, "Gain", NORM)
    withdraw(client, receipt.submission_id)
    length = client.get("/api/v1/ledger").json()["length"]
    assert withdraw(client, receipt.submission_id, reason="Again.").status_code == 200
    assert client.get("/api/v1/ledger").json()["length"] == length


def test_a_rerun_queues_the_runs_up_to_the_next_look(client: TestClient, session: Session) -> None:
    receipt = submit(client, "Gain", NORM)
    finish_next(client, 1.5)
    answer = rerun(client, receipt.submission_id)
    assert answer.status_code == 201
    assert (len(answer.json()["run_ids"]), answer.json()["num_runs_then"]) == (2, 3)
    runs = session.exec(select(Run).where(Run.purpose == RunPurpose.RERUN)).all()
    assert sorted(run.seed for run in runs) == [1001, 1002]
    assert {run.requested_by for run in runs} == {"grace"}
    key = data_identity().comparability_key("debug", 1)
    waiting = session.exec(select(Job.only_key).where(Job.state == JobState.QUEUED)).all()
    assert waiting == [key, key]
    again = rerun(client, receipt.submission_id)
    assert (again.status_code, again.json()["kind"]) == (409, "nothing_to_run")


def test_reruns_wait_behind_new_work(app: FastAPI, client: TestClient) -> None:
    queueing(app)
    receipt = submit(client, "Gain", NORM)
    finish_next(client, 1.5)
    rerun(client, receipt.submission_id)
    submit(client, "Other", RELU)
    purposes = [entry["purpose"] for entry in client.get("/api/v1/queue").json()["queued"]]
    assert purposes == [*["baseline"] * 5, "submission", "rerun", "rerun"]


def test_pooled_reruns_update_the_verdict(client: TestClient) -> None:
    measure_baseline(client)
    receipt = submit(client, "Lucky", NORM)
    finish_next(client, 1.9)
    rerun(client, receipt.submission_id)
    finish_next(client, 2.0)
    finish_next(client, 2.03)
    ((_, row),) = verdicts(client)
    assert (row["verdict"]["verdict"], row["verdict"]["num_runs"]) == ("unresolved", 3)
