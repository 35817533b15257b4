import pytest
from sqlmodel import Session
from starlette.testclient import TestClient

from core.schema.track import Track
from server.errors import NotFound
from server.syndication.board_rows import board_row, listed_board
from tests.server.boards import RELU
from tests.server.factories import submit_and_finish


def test_the_baseline_is_the_first_row_and_each_has_its_moment(
    client: TestClient, session: Session, tracks: dict[str, Track]
) -> None:
    submit_and_finish(client, "Better", RELU, 1.75)
    submit_and_finish(client, "Baseline", val_loss=2.0)
    board = listed_board(session, tracks["debug"])
    rows = list(board.rows)
    assert [one.row.name for one in rows] == ["Baseline", "Better"]
    assert [one.key for one in rows] == [board.key, board.key]
    moments = {
        summary["submission_id"]: summary["created_at"].replace("Z", "+00:00")
        for summary in client.get("/api/v1/submissions").json()["submissions"]
    }
    for one in rows:
        assert one.created_at is not None
        assert one.created_at.isoformat() == moments[one.row.submission_id or ""]


def test_an_unknown_key_is_refused_before_a_row_is_read(
    client: TestClient, session: Session, tracks: dict[str, Track]
) -> None:
    submit_and_finish(client, "Baseline")
    with pytest.raises(NotFound, match="its keys are"):
        listed_board(session, tracks["debug"], "feed")


def test_one_row_is_found_by_its_experiment(
    client: TestClient, session: Session, tracks: dict[str, Track]
) -> None:
    submit_and_finish(client, "Better", RELU, 1.75)
    board = listed_board(session, tracks["debug"])
    identity = next(board.rows).row.experiment_hash
    found = board_row(session, tracks["debug"], board.key or "", identity)
    assert found is not None
    assert found.name == "Better"
    assert board_row(session, tracks["debug"], board.key or "", "0" * 64) is None
