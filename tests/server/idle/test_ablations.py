"""Better experiments taken apart: authors submit, a worker works the queue off."""

import pytest
from sqlmodel import Session, select
from starlette.testclient import TestClient

from core.schema.overrides import Change, differences
from core.schema.track import Track
from server.experiments import stored_config
from server.idle import ablations
from server.idle.tables import Ablation
from server.tables import Experiment, Job, Priority, Run, RunPurpose
from server.verdict.tables import JudgementRow, RecordRow
from tests.server.boards import BASELINE_LOSSES, NORM, RELU, verdicts
from tests.server.factories import claim, register, submit
from tests.server.idle.gains import DROPOUT, GAIN, WITHOUT, confirm, work


def rows(session: Session) -> dict[str, Ablation]:
    return {row.path: row for row in session.exec(select(Ablation).order_by(Ablation.path))}


def idle_jobs(session: Session) -> list[Job]:
    return list(session.exec(select(Job).where(Job.priority == Priority.IDLE)))


def test_a_confirmed_gain_gets_an_idle_run_without_each_of_its_settings(
    client: TestClient, session: Session, tracks: dict[str, Track]
) -> None:
    confirm(client, NORM | DROPOUT | RELU)
    found = rows(session)
    assert list(found) == [path.removeprefix("Gain without ") for path in WITHOUT]
    variant = session.get_one(Experiment, found["model.dropout"].variant_hash)
    assert differences(tracks["debug"].base, stored_config(variant)) == (
        Change(path="model.attention.qk_norm", before=False, after=True),
        Change(path="model.feed_forward.activation", before="silu", after="squared_relu"),
    )
    runs = session.exec(select(Run).where(Run.purpose == RunPurpose.ABLATION)).all()
    assert {run.experiment_hash for run in runs} == {row.variant_hash for row in found.values()}
    assert {job.run_id for job in idle_jobs(session)} == {run.id for run in runs}
    assert len(runs) == 3


def test_one_run_that_looks_better_is_confirmed_before_it_is_taken_apart(
    client: TestClient, session: Session
) -> None:
    # One run of the gain and five of the baseline: better, with two more runs queued.
    confirm(client, NORM | DROPOUT, runs=6)
    assert session.exec(select(JudgementRow.verdict)).one() == "better"
    assert rows(session) == {}


def test_what_its_author_took_back_is_not_taken_apart(client: TestClient, session: Session) -> None:
    submission_id = confirm(client, NORM | DROPOUT, runs=6)
    request = {"author": "ada", "reason": "A typing error."}
    assert client.post(f"/api/v1/submissions/{submission_id}/withdraw", json=request).is_success
    work(client, {"Gain": GAIN}, 2)
    assert session.exec(select(JudgementRow.num_runs)).one() == 3
    assert rows(session) == {}


def test_a_new_submission_is_claimed_before_idle_work(client: TestClient) -> None:
    confirm(client, NORM | DROPOUT)
    receipt = submit(client, "New", RELU)
    offer = claim(client, register(client))
    assert offer is not None
    assert offer.run.run_id == receipt.run_id


def test_the_queue_names_the_setting_that_a_run_leaves_out(client: TestClient) -> None:
    submission_id = confirm(client, NORM | DROPOUT)
    queued = client.get("/api/v1/queue").json()["queued"]
    assert {(entry["name"], entry["submission_id"]) for entry in queued} == {
        ("Gain without model.attention.qk_norm", submission_id),
        ("Gain without model.dropout", submission_id),
    }
    waiting = client.get("/api/v1/tracks/debug/leaderboard").json()["active"]
    assert {row["name"] for row in waiting} == {entry["name"] for entry in queued}


def test_a_single_setting_and_those_without_effect_are_not_taken_apart(
    client: TestClient, session: Session
) -> None:
    # Without further predictions, their weight is of no use.
    confirm(client, NORM | {"model.extra_prediction_weight": 0.2})
    assert rows(session) == {}


def test_a_diff_of_too_many_settings_is_not_taken_apart(
    client: TestClient, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ablations, "MAX_SETTINGS", 2)
    confirm(client, NORM | DROPOUT | RELU)
    assert rows(session) == {}


def test_settings_that_go_only_together_say_so(client: TestClient, session: Session) -> None:
    heads = {"model.attention.num_heads": 8, "model.attention.query_heads_per_kv_head": 8}
    submission_id = confirm(client, heads)
    found = rows(session)
    alone = found["model.attention.num_heads"]
    assert alone.variant_hash is None
    assert "num_heads 4 must be a multiple of query_heads_per_kv_head 8" in alone.reason
    assert found["model.attention.query_heads_per_kv_head"].variant_hash is not None
    assert len(idle_jobs(session)) == 1
    assert "It goes only together with others." in client.get(f"/submissions/{submission_id}").text


def test_a_variant_beyond_the_budget_is_not_run(client: TestClient, session: Session) -> None:
    # Two layers of 160 channels take 1.3 times the baseline's FLOPs; the track allows 1.1.
    confirm(client, {"model.hidden_size": 160, "model.num_layers": 1})
    found = rows(session)
    assert "1.30 × the baseline's" in found["model.num_layers"].reason
    assert found["model.num_layers"].variant_hash is None
    assert found["model.hidden_size"].variant_hash is not None


def test_a_variant_that_was_measured_already_needs_no_run(
    client: TestClient, session: Session
) -> None:
    known = submit(client, "Norm", NORM)
    work(client, {"Baseline": BASELINE_LOSSES, "Norm": [2.5]}, 6)
    submit(client, "Gain", NORM | DROPOUT)
    work(client, {"Gain": GAIN}, 3)
    assert rows(session)["model.dropout"].variant_hash == known.experiment_hash
    [job] = idle_jobs(session)
    run = session.get_one(Run, job.run_id)
    assert run.experiment_hash == rows(session)["model.attention.qk_norm"].variant_hash


def test_later_results_queue_no_ablation_twice(client: TestClient, session: Session) -> None:
    confirm(client, NORM | DROPOUT)
    submit(client, "Baseline", author="ada")
    work(client, {"Baseline": [2.0]} | WITHOUT, 3)
    assert len(idle_jobs(session)) == 2


def test_a_server_that_queues_nothing_takes_nothing_apart(
    client: TestClient, session: Session
) -> None:
    state = client.app.state  # type: ignore[attr-defined]
    state.settings = state.settings.model_copy(update={"queues_runs": False})
    for loss in BASELINE_LOSSES:
        submit(client, "Baseline")
        work(client, {"Baseline": [loss]}, 1)
    for loss in GAIN[:3]:
        submit(client, "Gain", NORM | DROPOUT)
        work(client, {"Gain": [loss]}, 1)
    assert session.exec(select(JudgementRow.verdict)).one() == "better"
    assert rows(session) == {}


def test_an_ablation_is_neither_judged_nor_ranked_until_somebody_submits_it(
    client: TestClient, session: Session
) -> None:
    confirm(client, NORM | DROPOUT | RELU)
    # The best of all runs: as a submission it would be confirmed, and the record.
    work(client, WITHOUT | {"Gain without model.dropout": [1.0]}, 3)
    variant = rows(session)["model.dropout"].variant_hash
    assert [name for name, _ in verdicts(client)] == ["Gain"]
    assert variant not in session.exec(select(JudgementRow.experiment_hash)).all()
    assert len(session.exec(select(RecordRow)).all()) == 1
    assert len(session.exec(select(Run).where(Run.experiment_hash == variant)).all()) == 1

    submit(client, "Without dropout", NORM | RELU, author="grace")
    work(client, {"Without dropout": [1.0, 1.005, 0.995]}, 1)
    (name, row), *_ = verdicts(client)
    assert (name, row["author"], row["result"]["num_runs"]) == ("Without dropout", "grace", 2)
    assert row["verdict"]["verdict"] == "better"
