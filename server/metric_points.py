"""Storing metric points in bulk: one statement for hundreds of rows.

A row at a time costs more than all else that the server does with a point, and on SQLite the
driver hands the interpreter to other threads once a row.
"""

from collections.abc import Sequence
from functools import cache
from itertools import chain
from operator import attrgetter

from sqlalchemy.dialects import postgresql
from sqlmodel import Session, SQLModel

from core.schema.metric_point import MetricPoint
from server.tables import Metric

TABLE = SQLModel.metadata.tables[str(Metric.__tablename__)]
COLUMNS = tuple(column.name for column in TABLE.columns if column.name != "run_id")
INSERT = f"INSERT INTO {TABLE.name} (run_id, {', '.join(COLUMNS)})"
KEEP_FIRST = "ON CONFLICT (run_id, step) DO NOTHING"
ROWS_PER_STATEMENT = 500
"""SQLite takes 32,766 values a statement, and prepares one of this length but once."""

values_of = attrgetter(*COLUMNS)


def insert_points(session: Session, run_id: str, points: Sequence[MetricPoint]) -> None:
    """Store the points of steps that the run has none of; of two of one step, the first."""
    if not points:
        return
    if session.get_bind().dialect.name == "postgresql":
        _insert_arrays(session, run_id, points)
    else:
        _insert_rows(session, run_id, points)


def _insert_rows(session: Session, run_id: str, points: Sequence[MetricPoint]) -> None:
    connection = session.connection()
    for start in range(0, len(points), ROWS_PER_STATEMENT):
        some = points[start : start + ROWS_PER_STATEMENT]
        values = tuple(chain.from_iterable((run_id, *values_of(point)) for point in some))
        connection.exec_driver_sql(_row_statement(len(some)), values)


@cache
def _row_statement(num_rows: int) -> str:
    row = f"(?{', ?' * len(COLUMNS)})"
    return f"{INSERT} VALUES {', '.join([row] * num_rows)} {KEEP_FIRST}"


def _insert_arrays(session: Session, run_id: str, points: Sequence[MetricPoint]) -> None:
    """PostgreSQL plans a statement by its length, so each column is one value: an array."""
    columns = [list(column) for column in zip(*map(values_of, points), strict=True)]
    session.connection().exec_driver_sql(_array_statement(), (run_id, *columns))


@cache
def _array_statement() -> str:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    types = [TABLE.columns[name].type.compile(dialect) for name in COLUMNS]
    arrays = ", ".join(f"%s::{kind}[]" for kind in types)
    points = f"unnest({arrays}) WITH ORDINALITY AS point({', '.join(COLUMNS)}, place)"
    return f"{INSERT} SELECT %s, {', '.join(COLUMNS)} FROM {points} ORDER BY place {KEEP_FIRST}"
