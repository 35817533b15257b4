"""Verdicts as they come about: authors submit, a worker works the queue off."""

import pytest
from fastapi import FastAPI
from sqlmodel import Session, select
from starlette.testclient import TestClient

from core.schema.job import JobState
from core.schema.result import FailureKind
from server.tables import Experiment, Job, Run, RunPurpose
from server.verdict import judging
from server.verdict.tables import JudgementRow, RecordRow
from tests.server.boards import (
    BASELINE_LOSSES,
    NORM,
    RELU,
    finish_next,
    measure_baseline,
    queueing,
    verdicts,
    work_off,
)
from tests.server.factories import claim, data_identity, finish, register, send_failure, submit

GAIN = [1.5, 1.51, 1.49, 1.5, 1.5]
"""Far below the baseline's 2.0 ± 0.01."""
SAME = [1.999, 2.004, 1.996, 2.003, 1.998]
LOSS = [2.5, 2.5, 2.5, 2.5, 2.5]


@pytest.fixture
def busy(app: FastAPI, client: TestClient) -> TestClient:
    """A client of a server that queues runs by itself."""
    queueing(app)
    return client


def purposes(session: Session) -> list[RunPurpose]:
    return [run.purpose for run in session.exec(select(Run).order_by(Run.created_at))]


def test_the_first_result_under_a_key_has_the_baseline_measured(
    busy: TestClient, session: Session
) -> None:
    submit(busy, "Gain", NORM)
    finish_next(busy, 1.5)
    assert purposes(session) == [RunPurpose.SUBMISSION, *[RunPurpose.BASELINE] * 5]
    queue = busy.get("/api/v1/queue").json()["queued"]
    assert {entry["name"] for entry in queue} == {"Baseline"}
    # A second result asks for no further runs: they are queued already.
    submit(busy, "Other", RELU)
    work_off(busy, {"Baseline": BASELINE_LOSSES, "Gain": GAIN, "Other": [2.5]})
    assert purposes(session).count(RunPurpose.BASELINE) == 5


def test_a_gain_gets_three_runs_and_a_verdict(busy: TestClient, session: Session) -> None:
    submit(busy, "Gain", NORM)
    work_off(busy, {"Baseline": BASELINE_LOSSES, "Gain": GAIN})
    (name, row), *_ = verdicts(busy)
    assert (name, row["result"]["num_runs"]) == ("Gain", 3)
    verdict = row["verdict"]
    assert (verdict["verdict"], verdict["num_runs"], verdict["further_runs"]) == ("better", 3, 0)
    assert verdict["is_record"]
    assert verdict["low"] < -0.5 < verdict["high"] < 0
    assert purposes(session).count(RunPurpose.VERDICT) == 2


def test_what_may_be_noise_gets_five_runs_and_stays_unresolved(busy: TestClient) -> None:
    submit(busy, "Same", NORM)
    work_off(busy, {"Baseline": BASELINE_LOSSES, "Same": SAME})
    ((_, row),) = verdicts(busy)
    assert row["result"]["num_runs"] in (3, 5)
    assert row["verdict"]["verdict"] == "unresolved"
    assert not row["verdict"]["is_record"]
    assert row["verdict"]["further_runs"] is None or row["verdict"]["further_runs"] > 0


def test_what_is_plainly_worse_keeps_its_one_run(busy: TestClient) -> None:
    submit(busy, "Harm", NORM)
    work_off(busy, {"Baseline": BASELINE_LOSSES, "Harm": LOSS})
    ((_, row),) = verdicts(busy)
    assert (row["result"]["num_runs"], row["verdict"]["verdict"]) == (1, "worse")


def test_without_enough_baseline_runs_nothing_is_judged(client: TestClient) -> None:
    measure_baseline(client, BASELINE_LOSSES[:4])
    submit(client, "Gain", NORM)
    finish_next(client, 1.5)
    board = client.get("/api/v1/tracks/debug/leaderboard").json()
    assert board["rows"][0]["verdict"] is None
    assert board["pending"] == "The baseline has 4 of the 5 runs that a verdict needs."


def test_the_fifth_run_of_the_baseline_judges_everything(client: TestClient) -> None:
    measure_baseline(client, BASELINE_LOSSES[:4])
    for name, config, loss in (("Gain", NORM, 1.5), ("Harm", RELU, 2.5)):
        submit(client, name, config)
        finish_next(client, loss)
    measure_baseline(client, [1.995])
    found = {name: row["verdict"]["verdict"] for name, row in verdicts(client)}
    assert found == {"Gain": "better", "Harm": "worse"}


def test_a_record_must_be_better_than_the_record_before(
    client: TestClient, session: Session
) -> None:
    measure_baseline(client)
    for name, config, loss in (("First", NORM, 1.5), ("Near", RELU, 1.499)):
        submit(client, name, config)
        finish_next(client, loss)
    submit(client, "Clear", {"model.dropout": 0.3})
    finish_next(client, 1.2)
    records = session.exec(select(RecordRow).order_by(RecordRow.id)).all()
    assert [round(record.val_loss, 3) for record in records] == [1.5, 1.2]
    held = {name: row["verdict"]["is_record"] for name, row in verdicts(client)}
    assert held == {"Clear": True, "First": False, "Near": False}


def test_near_the_record_more_runs_are_queued_even_after_a_better(busy: TestClient) -> None:
    submit(busy, "First", NORM)
    work_off(busy, {"Baseline": BASELINE_LOSSES, "First": GAIN})
    submit(busy, "Near", RELU)
    near = [loss - 0.002 for loss in GAIN]
    work_off(busy, {"Baseline": BASELINE_LOSSES, "First": GAIN, "Near": near})
    found = {name: row["result"]["num_runs"] for name, row in verdicts(busy)}
    assert found == {"First": 3, "Near": 5}


def test_rows_that_cannot_be_told_apart_are_tied(client: TestClient) -> None:
    measure_baseline(client)
    for index, loss in enumerate((1.5, 1.501, 1.7)):
        submit(client, f"Row {index}", {"model.dropout": 0.1 * (index + 1)})
        finish_next(client, loss)
    assert [row["is_tied"] for _, row in verdicts(client)] == [False, True, False]


def test_a_row_that_is_better_by_its_counted_runs_is_tied_with_the_one_above(
    client: TestClient,
) -> None:
    measure_baseline(client)
    # Two runs rank by their mean of 1.7, and only the first is judged.
    for name, config, loss in (("Two", NORM, 1.5), ("Two", NORM, 1.9), ("One", RELU, 1.6)):
        submit(client, name, config)
        finish_next(client, loss)
    found = [(name, row["rank"], row["is_tied"]) for name, row in verdicts(client)]
    assert found == [("One", 1, False), ("Two", 2, True)]


@pytest.mark.parametrize(
    ("fails", "rounds", "expected"),
    # Other data is a second board, which asks for four runs besides the one that it has.
    [(True, 2, [10] * 4), (False, 1, [9] * 4)],
)
def test_a_baseline_that_brings_a_board_nothing_is_given_up(
    busy: TestClient,
    session: Session,
    monkeypatch: pytest.MonkeyPatch,
    fails: bool,
    rounds: int,
    expected: list[int],
) -> None:
    monkeypatch.setattr(judging, "MAX_ROUNDS", rounds)
    counts = []
    for index in range(4):
        submit(busy, f"Row {index}", {"model.dropout": 0.1 * (index + 1)})
        while offer := claim(busy, register(busy)):
            session.rollback()
            is_baseline = session.get_one(Run, offer.run.run_id).purpose is RunPurpose.BASELINE
            if is_baseline and fails:
                send_failure(busy, offer, FailureKind.OUT_OF_MEMORY)
            else:
                # The baseline is run on other data only.
                finish(busy, offer, 2.5, validation="b" if is_baseline else "e")
        session.rollback()
        counts.append(purposes(session).count(RunPurpose.BASELINE))
    assert counts == expected


def test_a_better_that_does_not_last_is_shown_as_refuted(client: TestClient) -> None:
    measure_baseline(client)
    for loss in (1.9, 2.0, 2.03):
        submit(client, "Lucky", NORM)
        finish_next(client, loss)
    ((_, row),) = verdicts(client)
    assert row["verdict"]["verdict"] == "unresolved"
    assert row["verdict"]["refuted"] == "Better after 1 run, unresolved after 3."
    assert not row["verdict"]["is_record"]


def test_a_second_run_changes_nothing_until_the_third(client: TestClient, session: Session) -> None:
    measure_baseline(client)
    submit(client, "Gain", NORM)
    finish_next(client, 1.5)
    before = session.exec(select(JudgementRow)).one().delta
    submit(client, "Gain again", NORM)
    finish_next(client, 1.0)
    session.expire_all()
    row = session.exec(select(JudgementRow)).one()
    assert (row.num_runs, row.delta) == (1, before)
    assert before == pytest.approx(-0.5)


def test_another_seed_of_other_data_is_another_board(client: TestClient, session: Session) -> None:
    measure_baseline(client)
    submit(client, "Gain", NORM)
    finish_next(client, 1.5, validation="e")
    assert session.exec(select(JudgementRow)).all() == []


def test_another_seed_makes_up_for_a_run_that_failed(busy: TestClient, session: Session) -> None:
    submit(busy, "Gain", NORM)
    finish_next(busy, 1.5)
    for loss in BASELINE_LOSSES:
        finish_next(busy, loss)
    for _ in range(6):
        offer = claim(busy, register(busy))
        if offer is None:
            break
        assert offer.run.seed > 1000
        send_failure(busy, offer, FailureKind.DIVERGED)
    # Two for the third look, and as many again; then it is left alone.
    failed = session.exec(select(Run).where(Run.purpose == RunPurpose.VERDICT)).all()
    assert [run.seed for run in failed] == [1001, 1002, 1003, 1004, 1005]
    assert claim(busy, register(busy)) is None


def test_another_seed_makes_up_for_a_run_on_other_data(busy: TestClient, session: Session) -> None:
    submit(busy, "Gain", NORM)
    for loss in (1.5, *BASELINE_LOSSES):
        finish_next(busy, loss)
    query = select(Run.seed).join(Job).where(Run.purpose == RunPurpose.VERDICT)
    query = query.where(Job.only_key == data_identity("b").comparability_key("debug", 1))
    counts = []
    for number in range(40):
        # Each is new, so that nobody knows its data.
        offer = claim(busy, register(busy, f"mirror {number}"))
        if offer is None:
            break
        finish(busy, offer, 1.5, validation="e")
        session.rollback()
        counts.append(len(session.exec(query).all()))
    # Two for the third look, and as many again; then it is left alone.
    assert (counts[0], counts[-1]) == (3, 5)
    assert claim(busy, register(busy)) is None


def test_each_board_has_a_baseline_of_its_own(busy: TestClient, session: Session) -> None:
    keys = {letter: data_identity(letter).comparability_key("debug", 1) for letter in "be"}
    submit(busy, "Gain", NORM)
    finish_next(busy, 1.5)
    offer = claim(busy, register(busy, "mirror"))
    assert offer is not None
    finish(busy, offer, 1.5, validation="e")
    query = select(Job.only_key).join(Run).where(Run.purpose == RunPurpose.BASELINE)
    waiting = session.exec(query.where(Job.state == JobState.QUEUED)).all()
    # The mirror's run is the first of its own board, and made up for on the other.
    assert (waiting.count(keys["b"]), waiting.count(keys["e"])) == (5, 4)


def test_confirming_runs_go_before_new_work(busy: TestClient, session: Session) -> None:
    submit(busy, "Gain", NORM)
    submit(busy, "Other", RELU)
    finish_next(busy, 1.5)
    queued = busy.get("/api/v1/queue").json()["queued"]
    assert [entry["purpose"] for entry in queued] == [*["baseline"] * 5, "submission"]
    other = session.exec(
        select(Job)
        .join(Run, Run.id == Job.run_id)
        .join(Experiment, Experiment.hash == Run.experiment_hash)
        .where(Run.purpose == RunPurpose.SUBMISSION, Job.state == JobState.QUEUED)
    ).one()
    status = busy.get(f"/api/v1/runs/{other.run_id}").json()
    assert status["jobs_ahead"] == 5
