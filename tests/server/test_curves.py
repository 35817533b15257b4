from sqlmodel import Session
from starlette.testclient import TestClient

from server.curve_metrics import CurveMetric
from server.curves import Series, SubmissionCurves, submission_curves
from server.submissions import find_submission
from tests.server.factories import (
    API,
    claim_one,
    finish,
    points,
    send_points,
    submit,
    submit_and_finish,
    with_load,
)


def curves_of(session: Session, submission_id: str) -> SubmissionCurves:
    return submission_curves(session, find_submission(session, submission_id))


def series(curves: SubmissionCurves, metric: CurveMetric, run: int = 0) -> Series:
    return next(one for one in curves.runs[run].series if one.metric is metric)


def test_a_run_that_has_begun_shows_its_points(client: TestClient, session: Session) -> None:
    receipt = submit(client)
    send_points(client, claim_one(client), points(steps=(1, 4), start=8.0))
    curves = curves_of(session, receipt.submission_id)
    assert curves.active
    loss = series(curves, CurveMetric.TRAIN_LOSS)
    assert (loss.steps, loss.tokens) == ((1, 4), (2048, 8192))
    assert (loss.train_seconds, loss.values) == ((0.1, 0.4), (8.0, 4.0))


def test_steps_without_validation_are_left_out_of_its_curve(
    client: TestClient, session: Session
) -> None:
    receipt = submit(client)
    offer = claim_one(client)
    send_points(client, offer, points(steps=(1, 2), validate=False))
    send_points(client, offer, points(steps=(4,), start=8.0))
    curves = curves_of(session, receipt.submission_id)
    assert series(curves, CurveMetric.VAL_LOSS).steps == (4,)
    assert series(curves, CurveMetric.TRAIN_LOSS).steps == (1, 2, 4)


def test_a_metric_that_was_never_measured_has_no_series(
    client: TestClient, session: Session
) -> None:
    receipt = submit(client)
    send_points(client, claim_one(client), points(validate=False))
    [run] = curves_of(session, receipt.submission_id).runs
    assert CurveMetric.VAL_LOSS not in [one.metric for one in run.series]


LOAD = (
    CurveMetric.EXPERT_MAX_VIOLATION,
    CurveMetric.WORST_EXPERT_MAX_VIOLATION,
    CurveMetric.IDLE_EXPERT_SHARE,
)


def test_the_load_of_experts_has_curves_where_it_was_measured(
    client: TestClient, session: Session
) -> None:
    receipt = submit(client)
    offer = claim_one(client)
    send_points(client, offer, points(steps=(1,)))
    send_points(client, offer, with_load(points(steps=(2, 4))))
    curves = curves_of(session, receipt.submission_id)
    load = [series(curves, metric) for metric in LOAD]
    assert [one.values for one in load] == [(2.0, 1.0), (4.0, 2.0), (0.25, 0.0)]
    assert {one.steps for one in load} == {(2, 4)}


def test_a_dense_run_has_no_curves_of_expert_load(client: TestClient, session: Session) -> None:
    receipt = submit(client)
    send_points(client, claim_one(client), points())
    answer = client.get(f"{API}/submissions/{receipt.submission_id}/curves").json()
    metrics = [one["metric"] for one in answer["runs"][0]["series"]]
    assert len(metrics) == len(CurveMetric) - len(LOAD)
    assert not set(LOAD) & set(metrics)


def test_runs_of_every_seed_are_there_in_order(client: TestClient, session: Session) -> None:
    first = submit_and_finish(client, "First")
    submit_and_finish(client, "Second")
    curves = curves_of(session, first.submission_id)
    assert [run.seed for run in curves.runs] == [1000, 1001]
    assert not curves.active
    assert curves.runs[0].comparability_key is not None


def test_a_queued_submission_has_no_curves_yet(client: TestClient, session: Session) -> None:
    receipt = submit(client)
    curves = curves_of(session, receipt.submission_id)
    assert (curves.runs, curves.active) == ((), True)


def test_long_curves_have_at_most_500_points(client: TestClient, session: Session) -> None:
    receipt = submit(client)
    offer = claim_one(client)
    for start in range(1, 2001, 1000):
        batch = points(steps=range(start, start + 1000))
        send_points(client, offer, batch)
    finish(client, offer)
    loss = series(curves_of(session, receipt.submission_id), CurveMetric.TRAIN_LOSS)
    assert len(loss.steps) <= 500
    assert (loss.steps[0], loss.steps[-1]) == (1, 2000)


def test_a_spike_of_one_step_is_in_the_long_curve(client: TestClient, session: Session) -> None:
    receipt = submit(client)
    offer = claim_one(client)
    batch = points(steps=range(1, 1001))
    batch[617] = batch[617].model_copy(update={"gradient_norm": 90.0})
    send_points(client, offer, batch)
    norm = series(curves_of(session, receipt.submission_id), CurveMetric.GRADIENT_NORM)
    assert len(norm.steps) <= 500
    assert (618, 90.0) in zip(norm.steps, norm.values, strict=True)
