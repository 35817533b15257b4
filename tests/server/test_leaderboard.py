import pytest
from sqlalchemy import Engine, event
from sqlmodel import Session
from starlette.testclient import TestClient

from core.schema.job import JobState
from core.schema.result import FailureKind
from core.schema.track import Track
from core.tracks import load_tracks
from server.board.entries import fill_boards
from server.board.query import BoardQuery
from server.board_keys import baseline_hash
from server.database import write_session
from server.errors import NotFound
from server.leaderboard import Leaderboard, leaderboard
from server.submissions import ensure_experiment
from server.tables import Run
from tests.server.factories import (
    claim_one,
    data_identity,
    finish,
    heartbeat,
    run_result,
    send_failure,
    submit,
    submit_and_finish,
)

RELU = {"model.feed_forward.activation": "squared_relu"}
NORM = {"model.attention.qk_norm": "true"}


@pytest.fixture(scope="module")
def track() -> Track:
    return load_tracks()["debug"]


def names(board: Leaderboard) -> list[tuple[int | None, str]]:
    return [(row.rank, row.name) for row in board.rows]


def test_empty_track_has_no_key_and_no_rows(session: Session, track: Track) -> None:
    board = leaderboard(session, track)
    assert (board.key, board.baseline, board.rows, board.active) == (None, None, (), ())
    assert board.tasks == ("synthetic_world",)


def test_rows_are_ranked_by_mean_loss_and_the_baseline_is_apart(
    client: TestClient, session: Session, track: Track
) -> None:
    submit_and_finish(client, "Baseline", val_loss=2.0)
    submit_and_finish(client, "Worse", {"model.dropout": 0.2}, 2.3)
    submit_and_finish(client, "Better", RELU, 1.9)
    board = leaderboard(session, track)
    assert names(board) == [(1, "Better"), (2, "Worse")]
    assert board.baseline is not None
    assert (board.baseline.name, board.baseline.rank, board.baseline.delta) == (
        "Baseline",
        None,
        None,
    )
    assert [row.delta for row in board.rows] == pytest.approx([-0.1, 0.3])


def test_seeds_of_one_experiment_are_one_row_with_their_mean(
    client: TestClient, session: Session, track: Track
) -> None:
    first = submit_and_finish(client, "First", RELU, 2.0)
    submit_and_finish(client, "Second", RELU, 2.2)
    submit_and_finish(client, "Lucky", NORM, 2.05)
    board = leaderboard(session, track)
    # The mean 2.1 ranks, not the better seed's 2.0.
    assert names(board) == [(1, "Lucky"), (2, "First")]
    assert board.rows[1].submission_id == first.submission_id
    assert board.rows[1].result.num_seeds == 2
    assert board.rows[1].result.val_loss == pytest.approx(2.1)


def test_equal_losses_share_a_rank(client: TestClient, session: Session, track: Track) -> None:
    submit_and_finish(client, "One", RELU, 2.0)
    submit_and_finish(client, "Two", NORM, 2.0)
    submit_and_finish(client, "Three", {"model.dropout": 0.1}, 2.5)
    assert [row.rank for row in leaderboard(session, track).rows] == [1, 1, 3]


def test_without_a_baseline_run_there_are_no_differences(
    client: TestClient, session: Session, track: Track
) -> None:
    submit_and_finish(client, "Alone", RELU, 2.0)
    board = leaderboard(session, track)
    assert board.baseline is None
    assert board.rows[0].delta is None


def test_results_under_different_keys_are_never_mixed(
    client: TestClient, session: Session, track: Track
) -> None:
    submit_and_finish(client, "Baseline", val_loss=2.0, validation="b")
    submit_and_finish(client, "Here", RELU, 1.9, validation="b")
    submit_and_finish(client, "Elsewhere", NORM, 1.0, validation="e")
    here, elsewhere = (data_identity(letter).comparability_key("debug", 1) for letter in "be")
    board = leaderboard(session, track)
    # The key of the newest baseline run, though another key has a newer result.
    assert board.key == here
    assert names(board) == [(1, "Here")]
    assert [known.key for known in board.keys] == [here, elsewhere]
    assert [known.num_baseline_runs for known in board.keys] == [1, 0]
    other = leaderboard(session, track, BoardQuery(key=elsewhere))
    assert names(other) == [(1, "Elsewhere")]
    assert other.baseline is None


def test_default_key_is_that_of_the_newest_baseline_run(
    client: TestClient, session: Session, track: Track
) -> None:
    submit_and_finish(client, "Baseline", val_loss=2.0, validation="b")
    submit_and_finish(client, "Baseline", val_loss=2.0, validation="e")
    assert leaderboard(session, track).key == data_identity("e").comparability_key("debug", 1)


def test_unknown_key_is_not_found_and_the_message_lists_the_keys(
    client: TestClient, session: Session, track: Track
) -> None:
    submit_and_finish(client, "Baseline")
    with pytest.raises(NotFound, match=data_identity().comparability_key("debug", 1)):
        leaderboard(session, track, BoardQuery(key="0" * 16))


def test_runs_without_a_result_stand_below_with_their_state(
    client: TestClient, session: Session, track: Track
) -> None:
    submit(client, "Broken", RELU)
    send_failure(client, claim_one(client), FailureKind.DIVERGED, "nan at step 3")
    submit(client, "Going", NORM)
    heartbeat(client, claim_one(client), completed=30, total=250)
    submit(client, "Next", {"model.dropout": 0.1})
    submit(client, "Last", {"model.dropout": 0.2})
    board = leaderboard(session, track)
    assert [(row.name, row.run.state) for row in board.active] == [
        ("Going", JobState.RUNNING),
        ("Next", JobState.QUEUED),
        ("Last", JobState.QUEUED),
    ]
    assert [row.run.jobs_ahead for row in board.active] == [None, 0, 1]
    assert (board.active[0].run.completed, board.active[0].run.total) == (30, 250)
    [broken] = board.ended
    assert (broken.name, broken.run.failure) == ("Broken", FailureKind.DIVERGED)
    assert broken.run.failure_message == "nan at step 3"
    assert "learning rates" in broken.run.failure_advice


def test_a_further_seed_keeps_its_authors_name_while_it_waits(
    client: TestClient, session: Session, track: Track
) -> None:
    submit_and_finish(client, "First", RELU, 2.0)
    second = submit(client, "Again", RELU, author="grace")
    board = leaderboard(session, track)
    assert board.rows[0].name == "First"
    assert board.rows[0].num_active_runs == 1
    [waiting] = board.active
    assert (waiting.name, waiting.author) == ("Again", "grace")
    assert waiting.submission_id == second.submission_id


def test_a_baseline_that_comes_with_the_project_needs_no_submission(
    engine: Engine, session: Session, track: Track
) -> None:
    with write_session(engine) as writer:
        identity = baseline_hash(track)
        ensure_experiment(writer, identity, track, track.base)
        values = {
            "id": "debug-1",
            "experiment_hash": identity,
            "seed": 7,
            "origin": "project",
            "result": run_result(7, 2.0).model_dump(mode="json"),
            "comparability_key": "f" * 16,
        }
        writer.add(Run.model_validate(values))
        writer.flush()
        assert fill_boards(writer, [track]) == 1
    baseline = leaderboard(session, track).baseline
    assert baseline is not None
    assert (baseline.name, baseline.author, baseline.submission_id) == ("Baseline", "project", None)
    assert baseline.result.val_loss == 2.0


def test_a_row_names_three_changes_and_counts_all(
    client: TestClient, session: Session, track: Track
) -> None:
    overrides = {
        "model.dropout": 0.1,
        "schedule.warmup_fraction": 0.1,
        "schedule.final_fraction": 0.0,
        "optimizer.muon.momentum": 0.9,
    }
    submit_and_finish(client, "Many", overrides)
    [row] = leaderboard(session, track).rows
    assert [change.path for change in row.changes] == [
        "model.dropout",
        "optimizer.muon.momentum",
        "schedule.warmup_fraction",
    ]
    assert row.num_changes == 4


def test_number_of_queries_does_not_grow_with_rows(
    client: TestClient, engine: Engine, track: Track
) -> None:
    def board_with_queries() -> tuple[Leaderboard, int]:
        statements: list[str] = []

        def note(*arguments: object) -> None:
            statements.append(str(arguments[2]))

        event.listen(engine, "before_cursor_execute", note)
        with Session(engine) as session:
            board = leaderboard(session, track)
        event.remove(engine, "before_cursor_execute", note)
        return board, len(statements)

    submit_and_finish(client, "Baseline")
    submit_and_finish(client, "One", RELU)
    submit(client, "Waits", NORM)
    few, queries = board_with_queries()
    finish(client, claim_one(client))
    for index in range(3):
        submit_and_finish(client, f"More {index}", {"model.dropout": 0.1 + index / 10})
    for index in range(3):
        submit(client, f"Waits {index}", {"schedule.final_fraction": index / 10 + 0.2})
    many, more_queries = board_with_queries()
    assert (len(few.rows), len(many.rows), len(many.active)) == (1, 5, 3)
    assert more_queries == queries
