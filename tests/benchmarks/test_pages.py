from pathlib import Path

import pytest

from benchmarks.pages import measure_load, measure_rendering
from benchmarks.pages_board import fill
from benchmarks.store_board import Board


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(f"sqlite:///{tmp_path}/board.sqlite")


def test_every_page_of_a_made_up_board_is_measured(board: Board) -> None:
    ids = fill(board, 120, 5_200)
    assert len(ids) == 120
    times = measure_rendering(board, ids, 2)
    names = [time.name for time in times]
    assert names[:2] == ["leaderboard, first page", "leaderboard, page 2"]
    assert names[-2:] == ["setting", "queue"]
    assert len(set(names)) == 13
    assert all(0 < time.median <= time.p99 and time.num_bytes > 1000 for time in times)


def test_a_page_is_sent_while_workers_report(board: Board) -> None:
    fill(board, 60, 10)
    assert measure_load(board, 2, 1.0, 1) > 0
