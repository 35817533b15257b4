"""The columns of a board's table: those that a reader chose, and addresses that sort by them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlencode

from pydantic import Field, field_validator

from server.board.query import BoardQuery, SortColumn
from server.formatting import task_title


class BoardColumn(StrEnum):
    """A column that a reader may leave out."""

    VERDICT = "verdict"
    DELTA = "delta"
    LOSS = "loss"
    BITS_PER_BYTE = "bits_per_byte"
    ACCURACY = "accuracy"
    PERPLEXITY = "perplexity"
    TASKS = "tasks"
    SPEED = "speed"
    MEMORY = "memory"
    COST = "cost"
    SEEDS = "seeds"
    AGE = "age"


TITLES = {
    BoardColumn.VERDICT: ("Verdict", "Better or worse if the 99 % interval leaves out zero"),
    BoardColumn.DELTA: (
        "Δ baseline",
        "Mean validation loss of the runs counted, less the baseline's, with its 99 % interval",
    ),
    BoardColumn.LOSS: (
        "Loss",
        "Mean validation loss over the seeds, in nats per token; sd is the standard deviation "
        "between seeds",
    ),
    BoardColumn.BITS_PER_BYTE: ("Bits/byte", "Bits per byte of the validation text"),
    BoardColumn.ACCURACY: ("Accuracy", "Top-1 next-token accuracy on the validation text"),
    BoardColumn.PERPLEXITY: ("Perplexity", "exp of the mean validation loss"),
    BoardColumn.SPEED: (
        "Speed",
        "Training speed as a multiple of the baseline's on the same worker in the same session; "
        "below it tokens per second, which depend on the worker",
    ),
    BoardColumn.MEMORY: ("Peak memory", "Largest memory allocated on the device"),
    BoardColumn.COST: ("Cost", "Compile and training time of one run at the track's prices"),
    BoardColumn.SEEDS: ("Seeds", "Distinct seeds that were measured"),
    BoardColumn.AGE: ("Newest run", "When the newest run ended"),
}
SORTS = {
    BoardColumn.DELTA: SortColumn.LOSS,
    BoardColumn.LOSS: SortColumn.LOSS,
    BoardColumn.BITS_PER_BYTE: SortColumn.BITS_PER_BYTE,
    BoardColumn.ACCURACY: SortColumn.ACCURACY,
    BoardColumn.PERPLEXITY: SortColumn.LOSS,
    BoardColumn.SPEED: SortColumn.RELATIVE_SPEED,
    BoardColumn.MEMORY: SortColumn.MEMORY,
    BoardColumn.COST: SortColumn.COST,
    BoardColumn.SEEDS: SortColumn.SEEDS,
    BoardColumn.AGE: SortColumn.AGE,
}
LABELS = {column: title for column, (title, _) in TITLES.items()} | {BoardColumn.TASKS: "Tasks"}


class BoardPageQuery(BoardQuery):
    """What a reader wants to see of a board, and which columns."""

    column: tuple[BoardColumn, ...] = Field(default=(), max_length=len(BoardColumn))
    """Columns to show; none means all."""

    @field_validator("column")
    @classmethod
    def _all_are_none(cls, value: tuple[BoardColumn, ...]) -> tuple[BoardColumn, ...]:
        """A form sends every box that is checked, as all are at first."""
        return () if set(value) == set(BoardColumn) else value

    def shows(self, column: BoardColumn) -> bool:
        """Whether a column is shown."""
        return not self.column or column in self.column

    def address(self, path: str, **changed: Any) -> str:
        """The address of the same view with something changed, without what is as by default."""
        values = self.model_copy(update=changed).model_dump(mode="json", exclude_defaults=True)
        return f"{path}?{urlencode(values, doseq=True)}" if values else path


@dataclass(frozen=True, kw_only=True)
class ColumnHead:
    """The head of a column."""

    column: BoardColumn
    task: str
    """Which task, of a column of scores; else empty."""
    title: str
    explanation: str
    url: str
    """Sorts by the column, or turns the order around; empty if one cannot sort by it."""
    aria_sort: str
    """`ascending` or `descending` of the column that rows are sorted by, else empty."""


def column_heads(query: BoardPageQuery, path: str, tasks: Sequence[str]) -> tuple[ColumnHead, ...]:
    """The columns that are shown, in order."""
    heads = []
    for column in BoardColumn:
        if not query.shows(column):
            continue
        if column is BoardColumn.TASKS:
            heads += [_task_head(query, path, task) for task in tasks]
        else:
            title, explanation = TITLES[column]
            sort = SORTS.get(column)
            heads.append(_head(query, path, column, "", title, explanation, sort))
    return tuple(heads)


def _task_head(query: BoardPageQuery, path: str, task: str) -> ColumnHead:
    title = task_title(task)
    explanation = f"acc_norm of {title}, ± binomial standard error of one run"
    return _head(query, path, BoardColumn.TASKS, task, title, explanation, SortColumn(task))


def _head(
    query: BoardPageQuery,
    path: str,
    column: BoardColumn,
    task: str,
    title: str,
    explanation: str,
    sort: SortColumn | None,
) -> ColumnHead:
    url, aria_sort = "", ""
    # Three columns go by the loss; the loss itself is the one that is marked.
    is_current = query.sort is sort and column not in (BoardColumn.DELTA, BoardColumn.PERPLEXITY)
    if sort is not None:
        turned = query.sort is sort and query.order == "best"
        url = query.address(path, sort=sort, order="worst" if turned else "best", page=1)
    if is_current:
        aria_sort = "descending" if query.is_descending else "ascending"
    return ColumnHead(
        column=column,
        task=task,
        title=title,
        explanation=explanation,
        url=url,
        aria_sort=aria_sort,
    )
