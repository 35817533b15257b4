"""A board as CSV (RFC 4180), made piece by piece."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice

from server.syndication.board_columns import Cell, Column
from server.syndication.board_rows import ListedRow

ROWS_PER_PIECE = 500
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet take a text for a formula, which it then runs."""


def csv_pieces(columns: Sequence[Column], rows: Iterable[ListedRow]) -> Iterator[str]:
    """The names of the columns, and then the rows in pieces of 500 lines."""
    yield _lines([[column.name for column in columns]])
    remaining = iter(rows)
    while piece := list(islice(remaining, ROWS_PER_PIECE)):
        yield _lines([[csv_text(column.read(row)) for column in columns] for row in piece])


def csv_text(cell: Cell) -> str:
    """A cell as text: empty if missing; a text that looks like a formula begins with '."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, datetime):
        return cell.isoformat().replace("+00:00", "Z")
    if isinstance(cell, str):
        return f"'{cell}" if cell.startswith(FORMULA) else cell
    return repr(cell)


def _lines(rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()
