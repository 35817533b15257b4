import json
import re

import pytest
from pydantic import JsonValue
from sqlalchemy import Engine, event, text
from sqlmodel import Session, col, select
from starlette.testclient import TestClient

from core.schema.job import JobState
from core.schema.ledger import FIRST_HASH, LedgerKind, LedgerPage, first_break
from core.schema.result import FailureKind
from core.schema.track import Track
from server.database import write_session
from server.experiments import ensure_experiment
from server.ledger.check import check_ledger
from server.ledger.entries import record
from server.tables import Job, Run
from server.verdict.judging import judge_board
from server.verdict.tables import JudgementRow
from tests.server.boards import NORM, entries_of, finish_next, measure_baseline
from tests.server.factories import (
    claim_one,
    data_identity,
    send_failure,
    submit,
    submit_and_finish,
)


def read_all(client: TestClient) -> LedgerPage:
    return LedgerPage.model_validate_json(client.get("/api/v1/ledger?limit=1000").content)


def faults(client: TestClient) -> list[str]:
    return client.get("/api/v1/ledger/check").json()["faults"]


def change(engine: Engine, statement: str) -> None:
    with engine.execution_options(writes=True).begin() as connection:
        assert connection.execute(text(statement)).rowcount == 1


def test_an_empty_ledger_holds(client: TestClient) -> None:
    page = read_all(client)
    assert (page.entries, page.head, page.length) == ((), FIRST_HASH, 0)
    assert faults(client) == []


def test_it_tells_what_became_of_a_submission(client: TestClient, session: Session) -> None:
    receipt = submit_and_finish(client, "QK-norm", NORM, 1.9)
    job = session.exec(select(Job)).one()
    told = entries_of(session, [receipt.submission_id, receipt.run_id, job.id])
    assert [(entry.kind, entry.contents.get("state")) for entry in told] == [
        (LedgerKind.JOB, "queued"),
        (LedgerKind.RUN, None),
        (LedgerKind.SUBMISSION, None),
        (LedgerKind.JOB, "running"),
        (LedgerKind.RESULT, None),
        (LedgerKind.JOB, "succeeded"),
    ]
    assert first_break(read_all(client).entries) == ""
    assert faults(client) == []


def test_every_end_and_every_retry_of_a_job_is_entered(
    client: TestClient, session: Session
) -> None:
    submit(client, "QK-norm", NORM)
    for _ in range(3):
        send_failure(client, claim_one(client), FailureKind.INTERNAL_ERROR)
    job = session.exec(select(Job)).one()
    assert job.state is JobState.FAILED
    states = [entry.contents["state"] for entry in entries_of(session, [job.id])]
    assert states == ["queued", "running", "queued", "running", "queued", "running", "failed"]
    last = entries_of(session, [job.id])[-1]
    assert (last.contents["failure"], last.contents["attempt"]) == ("internal_error", 3)


def told_verdicts(session: Session, experiment_hash: str) -> list[dict[str, JsonValue]]:
    session.rollback()
    entries = entries_of(session, [experiment_hash])
    return [entry.contents for entry in entries if entry.kind is LedgerKind.VERDICT]


def test_a_verdict_is_entered_when_it_changes(client: TestClient, session: Session) -> None:
    measure_baseline(client)
    receipt = submit(client, "Lucky", NORM)
    for loss in (1.9, 2.0, 2.03):
        finish_next(client, loss)
        submit(client, "Lucky", NORM)
    told = told_verdicts(session, receipt.experiment_hash)
    assert [(one["before"], one["verdict"], one["num_runs"]) for one in told] == [
        (None, "better", 1),
        ("better", "unresolved", 3),
    ]
    assert faults(client) == []


def test_an_interval_that_moves_under_the_same_verdict_is_entered(
    client: TestClient, session: Session, engine: Engine, tracks: dict[str, Track]
) -> None:
    measure_baseline(client)
    receipt = submit(client, "Gain", NORM)
    finish_next(client, 1.5)
    # A sixth run of the baseline counts in the noise alone: the mean is that of five.
    measure_baseline(client, [2.0])
    first, second = told_verdicts(session, receipt.experiment_hash)
    assert (second["before"], second["verdict"]) == ("better", "better")
    assert second["delta"] == first["delta"]
    assert first["low"] < second["low"] < second["high"] < first["high"]
    assert faults(client) == []
    with write_session(engine) as writer:
        judge_board(writer, tracks["debug"], str(second["key"]), queues_runs=False)
    assert len(told_verdicts(session, receipt.experiment_hash)) == 2


def test_an_older_entry_stands_for_verdict_and_runs_alone(
    client: TestClient, engine: Engine
) -> None:
    receipt = submit(client, "Gain", NORM)
    told = {"key": "k", "verdict": "better", "delta": -0.5, "low": -0.6, "high": -0.4}
    told |= {"num_runs": 1, "num_baseline_runs": 5, "further_runs": 0}
    identity = {"experiment_hash": receipt.experiment_hash, "comparability_key": "k"}
    with write_session(engine) as session:
        # The interval moved later, which was not entered then.
        session.add(JudgementRow.model_validate(told | identity | {"low": -0.55}))
        record(session, LedgerKind.VERDICT, receipt.experiment_hash, told)
    assert faults(client) == []
    change(engine, "UPDATE judgement SET num_runs = 3")
    assert len(faults(client)) == 1


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        (
            "UPDATE ledger_entry SET subject = 's_other' WHERE sequence = 3",
            "entry 3 (submission of s_other) was changed.",
        ),
        (
            "UPDATE ledger_entry SET recorded_at = '2020-01-01 00:00:00' WHERE sequence = 4",
            "entry 4 (job of ",
        ),
        ("DELETE FROM ledger_entry WHERE sequence = 2", "entry 2 is missing; entry 3 stands"),
        ("DELETE FROM ledger_entry WHERE sequence = 6", "the ledger ends after entry 5, and had 6"),
        ("UPDATE run SET val_loss = 1.0", " is not that of its result."),
        ("UPDATE run SET result = NULL", " is gone."),
        (
            "INSERT INTO withdrawal SELECT id, 'x', 'ada', created_at FROM submission",
            " was never entered.",
        ),
    ],
)
def test_tampering_shows(client: TestClient, engine: Engine, statement: str, fault: str) -> None:
    submit_and_finish(client, "QK-norm", NORM, 1.9)
    assert read_all(client).length == 6
    assert faults(client) == []
    change(engine, statement)
    (found,) = faults(client)
    assert fault in found


def test_a_changed_result_shows(client: TestClient, engine: Engine) -> None:
    submit_and_finish(client, "QK-norm", NORM, 1.9)
    with write_session(engine) as session:
        run = session.exec(select(Run)).one()
        run.result = {**(run.result or {}), "val_loss": 1.0}
    (found,) = faults(client)
    assert " is not the one that was entered." in found


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE judgement SET verdict = 'worse'", "verdict of {experiment} under {key} is not"),
        ("UPDATE judgement SET low = low - 0.1", "verdict of {experiment} under {key} is not"),
        ("DELETE FROM judgement", "verdict of {experiment} under {key} is gone."),
        ("DELETE FROM record", "record of {experiment} under {key} is gone."),
        ("UPDATE record SET lost_at = set_at", "record of {experiment} under {key} is gone."),
        ("UPDATE run SET held_reason = 'x' WHERE id = '{run}'", "hold of {run} was never entered."),
        ("UPDATE run SET purpose = 'ablation' WHERE id = '{run}'", "run of {run} is not as it"),
        ("UPDATE run SET comparability_key = 'x' WHERE id = '{run}'", "board of {run} is not as"),
        ("UPDATE submission SET yaml = 'x' WHERE run_id = '{run}'", "submission of {submission}"),
    ],
)
def test_a_change_of_what_counts_shows(
    client: TestClient, engine: Engine, statement: str, fault: str
) -> None:
    measure_baseline(client)
    receipt = submit(client, "Gain", NORM)
    finish_next(client, 1.5)
    assert faults(client) == []
    names = {
        "run": receipt.run_id,
        "submission": receipt.submission_id,
        "experiment": receipt.experiment_hash,
        "key": data_identity().comparability_key("debug", 1),
    }
    change(engine, statement.format(**names))
    (found,) = faults(client)
    assert fault.format(**names) in found


def test_a_taker_of_seeds_waits_for_other_writers_before_it_locks_anything(
    engine: Engine, tracks: dict[str, Track]
) -> None:
    track = tracks["debug"]
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
    with write_session(engine) as session:
        ensure_experiment(session, "0" * 64, track, track.base)
    tables = re.findall(r"^FROM (\w+)", "\n".join(statements), re.MULTILINE)
    assert tables[:2] == ["ledger_head", "experiment"]


def test_a_rewritten_chain_has_another_head(client: TestClient, engine: Engine) -> None:
    submit_and_finish(client, "QK-norm", NORM, 1.9)
    kept = read_all(client).head
    change(engine, "DELETE FROM ledger_entry WHERE sequence = 6")
    fifth = read_all(client).entries[-1]
    change(engine, f"UPDATE ledger_head SET sequence = 5, hash = '{fifth.hash}'")
    assert faults(client) == []
    assert kept not in {entry.hash for entry in read_all(client).entries}


def test_an_entry_is_there_only_with_the_change_it_tells_of(engine: Engine) -> None:
    with Session(engine.execution_options(writes=True)) as session:
        record(session, LedgerKind.RUN, "r_1", {})
        session.rollback()
    with Session(engine) as session:
        assert check_ledger(session).length == 0


def test_pages_follow_one_another(client: TestClient) -> None:
    submit_and_finish(client, "QK-norm", NORM, 1.9)
    first = json.loads(client.get("/api/v1/ledger?limit=4").content)["entries"]
    rest = json.loads(client.get("/api/v1/ledger?after=4").content)["entries"]
    assert [entry["sequence"] for entry in first + rest] == [1, 2, 3, 4, 5, 6]
    assert rest[0]["previous_hash"] == first[-1]["hash"]


def test_entries_stay_in_order_of_time(client: TestClient, session: Session) -> None:
    measure_baseline(client)
    entries = read_all(client).entries
    assert [entry.recorded_at for entry in entries] == sorted(e.recorded_at for e in entries)
    assert session.exec(select(Job).order_by(col(Job.id))).first() is not None
