from datetime import UTC, datetime

import pytest

from server.syndication.board_columns import Cell, Column, Kind
from server.syndication.board_rows import ListedRow
from server.syndication.csv_file import ROWS_PER_PIECE, csv_pieces, csv_text


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_text_that_a_spreadsheet_would_run_begins_with_an_apostrophe(text: str) -> None:
    assert csv_text(text) == f"'{text}"


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, ""),
        ("a=1", "a=1"),
        ("", ""),
        (True, "true"),
        (False, "false"),
        (-0.25, "-0.25"),
        (1e-7, "1e-07"),
        (-3, "-3"),
        (datetime(2026, 11, 22, 12, tzinfo=UTC), "2026-11-22T12:00:00Z"),
    ],
)
def test_each_kind_of_cell_has_one_form(cell: Cell, text: str) -> None:
    assert csv_text(cell) == text


def test_rows_come_in_pieces_and_none_is_lost(listed_row: ListedRow) -> None:
    numbers = iter(range(2 * ROWS_PER_PIECE + 1))
    columns = [Column("number", Kind.INTEGER, "Counts", lambda one: next(numbers))]
    pieces = list(csv_pieces(columns, (listed_row for _ in range(2 * ROWS_PER_PIECE + 1))))
    assert [piece.count("\r\n") for piece in pieces] == [1, ROWS_PER_PIECE, ROWS_PER_PIECE, 1]
    assert "".join(pieces).split() == ["number", *map(str, range(2 * ROWS_PER_PIECE + 1))]


def test_a_board_without_rows_is_its_names_alone() -> None:
    columns = [Column(name, Kind.TEXT, "", lambda one: "") for name in ("a", "b")]
    assert list(csv_pieces(columns, [])) == ["a,b\r\n"]
