from collections.abc import Mapping

import pytest
from sqlmodel import Session
from starlette.testclient import TestClient

from core.schema.track import Track
from server.comparison.compare import Comparison, compare
from server.comparison.figures import ComparedFigure
from server.errors import NotFound
from tests.server.factories import submit, submit_and_finish

RELU = {"model.feed_forward.activation": "squared_relu"}
NORM = {"model.attention.qk_norm": "true"}


def figure(comparison: Comparison, label: str) -> ComparedFigure:
    return next(one for one in comparison.figures if one.label == label)


def test_only_settings_that_differ_are_listed(
    client: TestClient, session: Session, tracks: Mapping[str, Track]
) -> None:
    a = submit(client, "A", {**RELU, "model.dropout": 0.1})
    b = submit(client, "B", {**NORM, "model.dropout": 0.1})
    changes = compare(session, tracks, [a.submission_id, b.submission_id]).settings
    assert [(change.path, change.values) for change in changes] == [
        ("model.attention.qk_norm", (False, True)),
        ("model.feed_forward.activation", ("squared_relu", "silu")),
    ]


def test_figures_differ_by_b_less_a(
    client: TestClient, session: Session, tracks: Mapping[str, Track]
) -> None:
    a = submit_and_finish(client, "A", RELU, 2.0)
    b = submit_and_finish(client, "B", NORM, 1.75)
    comparison = compare(session, tracks, [a.submission_id, b.submission_id])
    loss = figure(comparison, "Validation loss")
    assert (loss.values, loss.deltas) == ((2.0, 1.75), (None, -0.25))
    assert figure(comparison, "Synthetic world acc_norm").deltas[1] == 0.0
    assert comparison.notice == ""


def test_times_and_cost_get_no_difference(
    client: TestClient, session: Session, tracks: Mapping[str, Track]
) -> None:
    a = submit_and_finish(client, "A", RELU, train_seconds=30.0)
    b = submit_and_finish(client, "B", NORM, train_seconds=60.0)
    comparison = compare(session, tracks, [a.submission_id, b.submission_id])
    time = figure(comparison, "Training time")
    assert (time.values, time.deltas) == ((30.0, 60.0), (None, None))
    assert figure(comparison, "Cost of a run").deltas == (None, None)
    assert figure(comparison, "Tokens per second").deltas == (None, None)


def test_only_speed_as_a_ratio_gets_a_difference(
    client: TestClient, session: Session, tracks: Mapping[str, Track]
) -> None:
    # 16,000 and 8,000 tokens/s, on machines on which the baseline makes 16,000 and 6,400.
    a = submit_and_finish(client, "A", RELU, train_seconds=32.0, baseline_speed=16_000.0)
    b = submit_and_finish(
        client, "B", NORM, train_seconds=64.0, baseline_speed=6_400.0, device="NVIDIA T4"
    )
    comparison = compare(session, tracks, [a.submission_id, b.submission_id])
    speed = figure(comparison, "Speed, baseline on the same worker = 1")
    assert (speed.values, speed.deltas) == ((1.0, 1.25), (None, 0.25))
    assert figure(comparison, "Tokens per second").deltas == (None, None)
    assert figure(comparison, "Training time").deltas == (None, None)


def test_different_keys_are_shown_without_differences(
    client: TestClient, session: Session, tracks: Mapping[str, Track]
) -> None:
    a = submit_and_finish(client, "A", RELU, 2.0, validation="b")
    b = submit_and_finish(client, "B", NORM, 1.0, validation="e")
    comparison = compare(session, tracks, [a.submission_id, b.submission_id])
    loss = figure(comparison, "Validation loss")
    assert (loss.values, loss.deltas) == ((2.0, 1.0), (None, None))
    assert comparison.key is None
    assert "different data" in comparison.notice


def test_runs_under_the_common_key_alone_are_pooled(
    client: TestClient, session: Session, tracks: Mapping[str, Track]
) -> None:
    a = submit_and_finish(client, "A", RELU, 2.0, validation="b")
    submit_and_finish(client, "A again", RELU, 9.0, validation="e")
    b = submit_and_finish(client, "B", NORM, 1.5, validation="b")
    comparison = compare(session, tracks, [a.submission_id, b.submission_id])
    assert figure(comparison, "Validation loss").deltas[1] == -0.5
    assert comparison.sides[0].result is not None
    assert comparison.sides[0].result.num_seeds == 1


def test_a_side_without_a_result_is_named(
    client: TestClient, session: Session, tracks: Mapping[str, Track]
) -> None:
    a = submit_and_finish(client, "A", RELU)
    b = submit(client, "Still queued", NORM)
    comparison = compare(session, tracks, [a.submission_id, b.submission_id])
    assert comparison.notice == "No result yet: Still queued."
    assert comparison.sides[1].num_active_runs == 1
    assert figure(comparison, "Validation loss").values[1] is None


def test_different_tracks_are_not_compared(
    client: TestClient, session: Session, tracks: Mapping[str, Track]
) -> None:
    a, b = submit(client, "A"), submit(client, "B", track="gpu_24gb")
    comparison = compare(session, tracks, [a.submission_id, b.submission_id])
    assert "different tracks" in comparison.notice
    assert "model.hidden_size" in [change.path for change in comparison.settings]


def test_a_submission_against_itself_differs_in_nothing(
    client: TestClient, session: Session, tracks: Mapping[str, Track]
) -> None:
    a = submit_and_finish(client, "A", RELU).submission_id
    comparison = compare(session, tracks, [a, a])
    assert comparison.settings == ()
    assert figure(comparison, "Validation loss").deltas[1] == 0.0


def test_unknown_submission_is_not_found(
    client: TestClient, session: Session, tracks: Mapping[str, Track]
) -> None:
    a = submit(client).submission_id
    with pytest.raises(NotFound, match="s_nothing"):
        compare(session, tracks, [a, "s_nothing"])


def test_the_key_of_most_counts_and_others_are_named(
    client: TestClient, session: Session, tracks: Mapping[str, Track]
) -> None:
    a = submit_and_finish(client, "A", RELU, 2.0, validation="b")
    b = submit_and_finish(client, "B", NORM, 1.0, validation="e")
    c = submit_and_finish(client, "C", {"model.dropout": 0.1}, 1.5, validation="b")
    d = submit(client, "Queued", {"model.dropout": 0.2})
    ids = [one.submission_id for one in (a, b, c, d)]
    comparison = compare(session, tracks, ids)
    loss = figure(comparison, "Validation loss")
    assert loss.values == (2.0, 1.0, 1.5, None)
    assert loss.deltas == (None, None, -0.5, None)
    assert [side.is_compared for side in comparison.sides] == [True, False, True, False]
    assert comparison.notice.startswith("No result yet: Queued. ")
    assert comparison.notice.endswith("differences: A against B.")


def test_each_is_judged_against_the_first(
    client: TestClient, session: Session, tracks: Mapping[str, Track]
) -> None:
    first = submit_and_finish(client, "A", RELU, 2.0)
    submit_and_finish(client, "A again", RELU, 2.001)
    lower = submit_and_finish(client, "B", NORM, 1.5)
    higher = submit_and_finish(client, "C", {"model.dropout": 0.1}, 2.5)
    ids = [one.submission_id for one in (first, lower, higher)]
    judged = [side.judgement for side in compare(session, tracks, ids).sides]
    assert judged[0] is None
    assert judged[1] is not None
    assert judged[1].delta == -0.5
    assert judged[2] is not None
    assert judged[2].delta == 0.5
