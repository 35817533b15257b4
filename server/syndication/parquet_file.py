"""A board as Parquet, where pyarrow is installed."""

import io
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from server.errors import ParquetUnavailable
from server.syndication.board_columns import Column, Kind
from server.syndication.board_rows import ListedRow

ROWS_PER_GROUP = 10_000


def parquet_file(columns: Sequence[Column], rows: Iterable[ListedRow]) -> bytes:
    """The rows in groups of 10,000; each column has its description as metadata.

    Raises:
        ParquetUnavailable: pyarrow is not installed.
    """
    # With the base install, the server has no pyarrow; with it, only who asks pays for it.
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ParquetUnavailable(
            "this server cannot write Parquet, because pyarrow is not installed. Read "
            "leaderboard.csv, which has the same columns, or ask whoever runs the server to "
            "install the extra `parquet`."
        ) from error
    types = {
        Kind.TEXT: pyarrow.string(),
        Kind.INTEGER: pyarrow.int64(),
        Kind.NUMBER: pyarrow.float64(),
        Kind.BOOLEAN: pyarrow.bool_(),
        Kind.MOMENT: pyarrow.timestamp("us", tz="UTC"),
    }
    fields = [
        pyarrow.field(column.name, types[column.kind], metadata={"description": column.description})
        for column in columns
    ]
    schema: Any = pyarrow.schema(fields)
    file, remaining = io.BytesIO(), iter(rows)
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        while group := list(islice(remaining, ROWS_PER_GROUP)):
            cells = [[column.read(row) for row in group] for column in columns]
            arrays = [
                pyarrow.array(values, field.type)
                for values, field in zip(cells, fields, strict=True)
            ]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))
    return file.getvalue()
