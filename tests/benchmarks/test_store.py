from pathlib import Path

import pytest

from benchmarks.store import (
    Figure,
    measure_claims,
    measure_commits,
    measure_cycles,
    measure_metrics,
)
from benchmarks.store_board import Board
from benchmarks.store_clients import Work, rate


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(f"sqlite:///{tmp_path}/board.sqlite")


def check(figure: Figure) -> None:
    assert figure.is_whole
    assert figure.per_second > 0


def test_every_commit_is_there(board: Board) -> None:
    check(measure_commits(board, 3))


def test_every_point_of_two_clients_is_stored(board: Board) -> None:
    check(measure_metrics(board, 2, 2))


def test_three_workers_get_every_job_once(board: Board) -> None:
    check(measure_claims(board, 3, 12))


@pytest.mark.parametrize("over_http", [False, True])
def test_every_job_ends_with_its_result(board: Board, over_http: bool) -> None:
    check(measure_cycles(board, 2, 6, over_http=over_http))


def test_a_rate_counts_from_the_first_start_to_the_last_end() -> None:
    assert rate([Work(10.0, 12.0, ("a",)), Work(11.0, 14.0, ("b",))], 20) == 5.0
