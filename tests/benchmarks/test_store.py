from collections.abc import Iterable
from pathlib import Path

import pytest

from benchmarks.store import (
    Figure,
    measure_claims,
    measure_commits,
    measure_cycles_in_store,
    measure_cycles_over_http,
    measure_metrics,
)
from benchmarks.store_board import Board
from benchmarks.store_clients import Work, rate


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(f"sqlite:///{tmp_path}/board.sqlite")


def check(measured: Iterable[Figure], count: int = 1) -> None:
    figures = list(measured)
    assert len(figures) == count
    assert all(figure.is_whole and figure.per_second > 0 for figure in figures)


def test_every_commit_is_there(board: Board) -> None:
    check(measure_commits(board, 3))


def test_every_point_of_two_clients_is_stored(board: Board) -> None:
    check(measure_metrics(board, 2, 2))


def test_three_workers_get_every_job_once(board: Board) -> None:
    check(measure_claims(board, 3, 12))


def test_every_job_ends_with_its_result_and_is_settled(board: Board) -> None:
    check(measure_cycles_in_store(board, 2, 6), 2)


def test_every_job_ends_with_its_result_over_http(board: Board) -> None:
    check(measure_cycles_over_http(board, 2, 6))


def test_a_rate_counts_from_the_first_start_to_the_last_end() -> None:
    assert rate([Work(10.0, 12.0, ("a",)), Work(11.0, 14.0, ("b",))], 20) == 5.0
