from collections import defaultdict

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, event
from sqlmodel import Session
from starlette.testclient import TestClient

from core.schema.setting_names import setting_names
from core.schema.track import Track
from server.errors import NotFound
from server.memory.settings import SettingMemory, setting_memory, track_memory
from tests.server.boards import (
    BASELINE_LOSSES,
    NORM,
    RELU,
    measure_baseline,
    queueing,
    work_off,
)
from tests.server.factories import API, data_identity, submit, submit_and_finish

DROPOUT = "model.dropout"
ACTIVATION = "model.feed_forward.activation"
QK_NORM = "model.attention.qk_norm"


@pytest.fixture
def track(tracks: dict[str, Track]) -> Track:
    return tracks["debug"]


def tried(setting: SettingMemory) -> list[tuple[object, list[tuple[str, bool]]]]:
    return [
        (value.value, [(tried.name, tried.is_only_change) for tried in value.experiments])
        for value in setting.values
    ]


def test_every_value_is_there_with_the_experiments_that_have_it(
    client: TestClient, session: Session, track: Track
) -> None:
    submit_and_finish(client, "Baseline", val_loss=2.0)
    submit_and_finish(client, "Much", {DROPOUT: 0.2}, 2.5)
    submit_and_finish(client, "Both", {DROPOUT: 0.1, **RELU}, 1.5)
    submit_and_finish(client, "Little", {DROPOUT: 0.1}, 2.25)
    dropout, activation = (setting_memory(session, track, path) for path in (DROPOUT, ACTIVATION))
    assert (dropout.path, dropout.baseline, dropout.num_experiments) == (DROPOUT, 0.0, 3)
    # What changed nothing else comes first, though the other has the lower loss.
    assert tried(dropout) == [
        (0.1, [("Little", True), ("Both", False)]),
        (0.2, [("Much", True)]),
    ]
    assert tried(activation) == [("squared_relu", [("Both", False)])]
    little, both = dropout.values[0].experiments
    assert (little.delta, little.verdict, little.num_runs) == (0.25, None, 1)
    assert (both.delta, [change.path for change in both.other_changes]) == (-0.5, [ACTIVATION])


def test_numbers_are_in_the_order_of_their_size(
    client: TestClient, session: Session, track: Track
) -> None:
    for steps in (16, 4, 12):
        submit_and_finish(client, f"{steps} rows", {"training.batch_size": steps})
    setting = setting_memory(session, track, "training.batch_size")
    assert [value.value for value in setting.values] == [4, 12, 16]


def test_difference_and_interval_are_those_of_the_board(
    client: TestClient, session: Session, track: Track
) -> None:
    measure_baseline(client)
    submit_and_finish(client, "Worse", NORM, 2.75)
    [row] = client.get(f"{API}/tracks/debug/leaderboard").json()["rows"]
    [value] = setting_memory(session, track, QK_NORM).values
    [worse] = value.experiments
    assert worse.verdict is not None
    assert worse.verdict.model_dump(mode="json") == row["verdict"]
    # The baseline's mean is 2.
    assert worse.delta == pytest.approx(0.75)
    assert worse.verdict.verdict == "worse"
    assert worse.verdict.low < 0.75 < worse.verdict.high


def test_seeds_of_an_experiment_are_one_entry_with_their_mean(
    client: TestClient, session: Session, track: Track
) -> None:
    submit_and_finish(client, "Baseline", val_loss=2.0)
    submit_and_finish(client, "First", RELU, 1.5)
    submit_and_finish(client, "Second", RELU, 1.75)
    [value] = setting_memory(session, track, ACTIVATION).values
    [experiment] = value.experiments
    assert (experiment.name, experiment.num_runs, experiment.delta) == ("First", 2, -0.375)


def test_spellings_of_one_value_are_one_value(
    client: TestClient, session: Session, track: Track
) -> None:
    # 128 tokens are a whole row, so such a window hides nothing: both ask for an equal layer 2.
    window = "model.attention.window_pattern"
    submit_and_finish(client, "Short", {window: "[64, 0]"})
    submit_and_finish(client, "Long", {window: "[64, 128]", **NORM})
    setting = setting_memory(session, track, window)
    assert tried(setting) == [([64, 0], [("Short", True), ("Long", False)])]


def test_results_under_another_key_are_apart(
    client: TestClient, session: Session, track: Track
) -> None:
    submit_and_finish(client, "Baseline", val_loss=2.0, validation="b")
    submit_and_finish(client, "Here", NORM, 1.5, validation="b")
    submit_and_finish(client, "Elsewhere", RELU, 1.0, validation="e")
    elsewhere = data_identity("e").comparability_key("debug", 1)
    assert len(setting_memory(session, track, QK_NORM).values) == 1
    assert setting_memory(session, track, ACTIVATION).values == ()
    assert setting_memory(session, track, QK_NORM, elsewhere).values == ()
    other = setting_memory(session, track, ACTIVATION, elsewhere)
    # No baseline ran there.
    assert (other.key, other.values[0].experiments[0].delta) == (elsewhere, None)
    with pytest.raises(NotFound, match=elsewhere):
        track_memory(session, track, "0" * 16)


def test_a_withdrawn_experiment_stays_with_the_reason(
    client: TestClient, session: Session, track: Track
) -> None:
    submission = submit_and_finish(client, "Mine", RELU).submission_id
    request = {"author": "ada", "reason": "A typing error."}
    client.post(f"{API}/submissions/{submission}/withdraw", json=request)
    [value] = setting_memory(session, track, ACTIVATION).values
    [experiment] = value.experiments
    assert experiment.withdrawn is not None
    assert experiment.withdrawn.reason == "A typing error."


def test_a_setting_that_nobody_tried_has_no_values(session: Session, track: Track) -> None:
    setting = setting_memory(session, track, DROPOUT)
    assert (setting.key, setting.best) == (None, None)
    assert (setting.baseline, setting.num_experiments, setting.values) == (0.0, 0, ())
    assert {setting.num_experiments for setting in track_memory(session, track).settings} == {0}


def test_an_unknown_setting_is_not_found_and_the_nearest_is_named(
    session: Session, track: Track
) -> None:
    with pytest.raises(NotFound, match=r"'model\.dropot'; did you mean model\.dropout\?"):
        setting_memory(session, track, "model.dropot")


def test_number_of_queries_does_not_grow_with_experiments(
    client: TestClient, engine: Engine, track: Track
) -> None:
    def found_and_queries() -> tuple[int, int]:
        statements: list[str] = []

        def note(*arguments: object) -> None:
            statements.append(str(arguments[2]))

        event.listen(engine, "before_cursor_execute", note)
        with Session(engine) as session:
            setting = setting_memory(session, track, DROPOUT)
            track_memory(session, track)
        event.remove(engine, "before_cursor_execute", note)
        return sum(len(value.experiments) for value in setting.values), len(statements)

    submit_and_finish(client, "One", {DROPOUT: 0.05})
    found, queries = found_and_queries()
    assert found == 1
    for index in range(4):
        submit_and_finish(client, f"More {index}", {DROPOUT: 0.1 + index / 10})
    assert found_and_queries() == (5, queries)


def test_summary_counts_all_experiments_and_names_the_best_of_those_that_change_nothing_else(
    client: TestClient, session: Session, track: Track
) -> None:
    measure_baseline(client)
    submit_and_finish(client, "Little", {DROPOUT: 0.1}, 2.25)
    submit_and_finish(client, "Much", {DROPOUT: 0.2}, 2.125)
    submit_and_finish(client, "Both", {DROPOUT: 0.3, **NORM}, 1.5)
    submit(client, "Waits", {DROPOUT: 0.4})
    settings = {setting.path: setting for setting in track_memory(session, track).settings}
    assert settings.keys() == set(setting_names())
    assert {path: s.num_experiments for path, s in settings.items() if s.num_experiments} == {
        DROPOUT: 4,
        QK_NORM: 1,
    }
    best = settings[DROPOUT].best
    assert best is not None
    # The baseline's mean is 2.
    assert (best.value, best.delta, best.verdict) == (0.2, pytest.approx(0.125), "worse")
    assert settings[QK_NORM].best is None
    assert setting_memory(session, track, DROPOUT).best == best


def test_a_withdrawn_experiment_is_not_the_best(
    client: TestClient, session: Session, track: Track
) -> None:
    measure_baseline(client)
    submit_and_finish(client, "Little", {DROPOUT: 0.1}, 2.25)
    best = submit_and_finish(client, "Much", {DROPOUT: 0.2}, 2.125).submission_id
    request = {"author": "ada", "reason": "A typing error."}
    client.post(f"{API}/submissions/{best}/withdraw", json=request)
    found = setting_memory(session, track, DROPOUT).best
    assert found is not None
    assert found.value == 0.1


def test_pages_begin_with_what_changed_the_least_and_end(
    client: TestClient, session: Session, track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.memory.settings.PER_PAGE", 2)
    submit_and_finish(client, "Both", {DROPOUT: 0.1, **RELU})
    submit_and_finish(client, "One", {DROPOUT: 0.2})
    submit_and_finish(client, "Two", {DROPOUT: 0.3})
    first, second = (setting_memory(session, track, DROPOUT, page=page) for page in (1, 2))
    assert (tried(first), first.has_next) == (
        [(0.2, [("One", True)]), (0.3, [("Two", True)])],
        True,
    )
    assert (tried(second), second.has_next) == ([(0.1, [("Both", False)])], False)
    with pytest.raises(NotFound, match="page 3"):
        setting_memory(session, track, DROPOUT, page=3)


def test_an_ablation_is_there_under_the_name_of_what_it_was_taken_from(
    app: FastAPI, client: TestClient, session: Session, track: Track
) -> None:
    queueing(app)
    submit(client, "Both", {**NORM, **RELU})
    # Better than the baseline after three runs, so it is taken apart.
    losses = {"Baseline": BASELINE_LOSSES, "Both": [1.5, 1.51, 1.49]}
    work_off(client, defaultdict(lambda: [1.75], losses))
    norm = setting_memory(session, track, QK_NORM)
    assert tried(norm) == [(True, [(f"Both without {ACTIVATION}", True), ("Both", False)])]
    alone = norm.values[0].experiments[0]
    assert (alone.num_runs, alone.delta, alone.verdict) == (1, pytest.approx(-0.25), None)
