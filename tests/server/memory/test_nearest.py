import math
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import JsonValue
from sqlalchemy import Engine, event
from sqlmodel import Session
from starlette.testclient import TestClient

from core.schema.overrides import Change, resolve
from core.schema.track import Track
from server.memory.nearest import Difference, NearestExperiments, distance, nearest_experiments
from tests.server.boards import NORM, RELU, measure_baseline
from tests.server.factories import submit, submit_and_finish

RATE = "optimizer.muon.learning_rate"
DROPOUT = "model.dropout"


@pytest.fixture
def track(tracks: dict[str, Track]) -> Track:
    """Its baseline has a rate of 0.03 and no dropout."""
    return tracks["debug"]


def ask(
    session: Session, track: Track, overrides: Mapping[str, Any], limit: int = 5
) -> NearestExperiments:
    return nearest_experiments(session, track, resolve(track.base, overrides), limit)


@pytest.mark.parametrize(
    ("ours", "theirs", "baseline", "expected"),
    [
        # ln(3 / 2).
        (0.02, 0.03, 0.04, 0.405465),
        (0.03, 0.02, 0.04, 0.405465),
        (8, 6, 4, 0.287682),
        # A factor of e or more is as far as another setting.
        (0.02, 0.2, 0.04, 1.0),
        # One side left the setting alone.
        (0.04, 0.03, 0.04, 1.0),
        (0.02, 0.04, 0.04, 1.0),
        # No ratio.
        (0.0, 0.5, 0.1, 1.0),
        (-1.0, -2.0, 1.0, 1.0),
        (True, False, None, 1.0),
        ("gelu", "silu", "squared_relu", 1.0),
        ([1, 2], [1, 3], [1], 1.0),
        (1e-300, 1e300, 1.0, 1.0),
    ],
)
def test_distance_of_one_setting(
    ours: JsonValue, theirs: JsonValue, baseline: JsonValue, expected: float
) -> None:
    assert distance([("a", ours, theirs)], {"a": baseline}) == pytest.approx(expected, abs=1e-6)


def test_distances_of_settings_add_up() -> None:
    changes: list[Difference] = [("a", 2, 1), ("b", "x", "y"), ("c", 3, 6)]
    baseline: dict[str, JsonValue] = {"a": 4, "b": "x", "c": 3}
    assert distance(changes, baseline) == pytest.approx(math.log(2) + 1 + 1)
    assert distance([], baseline) == 0


def test_the_nearest_comes_first_with_what_differs(
    client: TestClient, session: Session, track: Track
) -> None:
    submit_and_finish(client, "Baseline", val_loss=2.0)
    submit_and_finish(client, "Other idea", RELU, 1.9)
    submit_and_finish(client, "Rate and dropout", {RATE: 0.06, DROPOUT: 0.1}, 2.1)
    submit_and_finish(client, "Rate 0.12", {RATE: 0.12}, 9.0)
    submit_and_finish(client, "Rate 0.09", {RATE: 0.09}, 2.5)
    found = ask(session, track, {RATE: 0.06})
    assert found.equal is None
    assert [(near.name, round(near.distance, 4)) for near in found.nearest] == [
        ("Rate 0.09", 0.4055),  # ln(0.09 / 0.06)
        ("Rate 0.12", 0.6931),  # ln 2
        ("Rate and dropout", 1.0),
        ("Other idea", 2.0),
    ]
    nearest = found.nearest[0]
    assert nearest.changes == (Change(path=RATE, before=0.06, after=0.09),)
    assert (nearest.delta, nearest.num_runs, nearest.verdict) == (0.5, 1, None)
    assert [near.name for near in ask(session, track, {RATE: 0.06}, limit=1).nearest] == [
        "Rate 0.09"
    ]


def test_of_equally_near_ones_the_better_known_comes_first(
    client: TestClient, session: Session, track: Track
) -> None:
    for name, overrides in [("Norm", NORM), ("Relu", RELU)]:
        submit_and_finish(client, name, overrides)
        submit_and_finish(client, "Dropout", {DROPOUT: 0.1})
    assert ask(session, track, {RATE: 0.06}).nearest[0].name == "Dropout"


def test_an_equal_experiment_is_named_apart_however_it_is_written(
    client: TestClient, session: Session, track: Track
) -> None:
    measure_baseline(client)
    first = submit_and_finish(client, "Constant", {"schedule.kind": "constant"}, 2.5)
    submit_and_finish(client, "Other", RELU, 2.5)
    found = ask(session, track, {"schedule.final_fraction": 1.0})
    assert found.equal is not None
    assert (found.equal.name, found.equal.submission_id) == ("Constant", first.submission_id)
    assert found.equal.delta == pytest.approx(0.5)
    assert found.equal.verdict is not None
    assert found.equal.verdict.verdict == "worse"
    assert [near.name for near in found.nearest] == ["Other"]


def test_an_equal_experiment_that_waits_has_no_runs(
    client: TestClient, session: Session, track: Track
) -> None:
    submit(client, "Waits", RELU)
    found = ask(session, track, RELU)
    assert found.equal is not None
    assert (found.equal.name, found.equal.num_runs, found.equal.delta) == ("Waits", 0, None)
    assert (found.key, found.nearest) == (None, ())


def test_the_baseline_is_equal_to_itself_and_near_nothing_else(
    client: TestClient, session: Session, track: Track
) -> None:
    submit_and_finish(client, "Mine", author="grace")
    assert ask(session, track, RELU).nearest == ()
    found = ask(session, track, {})
    assert found.equal is not None
    assert (found.equal.name, found.equal.delta) == ("Mine", None)


def test_what_was_measured_on_other_data_is_not_near(
    client: TestClient, session: Session, track: Track
) -> None:
    submit_and_finish(client, "Baseline", validation="b")
    submit_and_finish(client, "Elsewhere", RELU, validation="e")
    assert ask(session, track, NORM).nearest == ()


def test_number_of_queries_does_not_grow_with_experiments(
    client: TestClient, engine: Engine, track: Track
) -> None:
    def found_and_queries() -> tuple[int, int]:
        statements: list[str] = []

        def note(*arguments: object) -> None:
            statements.append(str(arguments[2]))

        event.listen(engine, "before_cursor_execute", note)
        with Session(engine) as session:
            found = ask(session, track, NORM, limit=100)
        event.remove(engine, "before_cursor_execute", note)
        return len(found.nearest), len(statements)

    submit_and_finish(client, "One", RELU)
    queries = found_and_queries()[1]
    for index in range(4):
        submit_and_finish(client, f"More {index}", {DROPOUT: 0.1 + index / 10})
    assert found_and_queries() == (5, queries)
