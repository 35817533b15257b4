"""What a reader wants to see of a board: order, filters, page; all of it in the address."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field, field_validator
from sqlalchemy import ColumnElement
from sqlmodel import col

from core.schema.base import Message
from server.board.entry_rows import setting_line
from server.board.standings import Standing
from server.board.tables import BoardEntry
from server.verdict.judge import Verdict

PAGE_ROWS = 50
MAX_ROWS = 200
"""On the longest page that may be asked for."""
MAX_PAGE = 1_000_000


class SortColumn(StrEnum):
    """What rows are sorted by. A column of NULLs comes last either way."""

    LOSS = "loss"
    NAME = "name"
    AUTHOR = "author"
    BITS_PER_BYTE = "bits_per_byte"
    ACCURACY = "accuracy"
    ARC_CHALLENGE = "arc_challenge"
    ARC_EASY = "arc_easy"
    HELLASWAG = "hellaswag"
    SYNTHETIC_WORLD = "synthetic_world"
    SPEED = "speed"
    RELATIVE_SPEED = "relative_speed"
    MEMORY = "memory"
    COST = "cost"
    SEEDS = "seeds"
    AGE = "age"


_COLUMNS: dict[SortColumn, Any] = {
    SortColumn.LOSS: BoardEntry.val_loss,
    SortColumn.NAME: BoardEntry.name_key,
    SortColumn.AUTHOR: BoardEntry.author,
    SortColumn.BITS_PER_BYTE: BoardEntry.val_bpb,
    SortColumn.ACCURACY: BoardEntry.val_accuracy,
    SortColumn.ARC_CHALLENGE: BoardEntry.arc_challenge,
    SortColumn.ARC_EASY: BoardEntry.arc_easy,
    SortColumn.HELLASWAG: BoardEntry.hellaswag,
    SortColumn.SYNTHETIC_WORLD: BoardEntry.synthetic_world,
    SortColumn.SPEED: BoardEntry.tokens_per_second,
    SortColumn.RELATIVE_SPEED: BoardEntry.relative_speed,
    SortColumn.MEMORY: BoardEntry.peak_memory_bytes,
    SortColumn.COST: BoardEntry.cost_usd,
    SortColumn.SEEDS: BoardEntry.num_seeds,
    # The youngest has the newest run.
    SortColumn.AGE: BoardEntry.newest_at,
}
_LARGEST_FIRST = frozenset(
    {
        SortColumn.ACCURACY,
        SortColumn.ARC_CHALLENGE,
        SortColumn.ARC_EASY,
        SortColumn.HELLASWAG,
        SortColumn.SYNTHETIC_WORLD,
        SortColumn.SPEED,
        SortColumn.RELATIVE_SPEED,
        SortColumn.SEEDS,
        SortColumn.AGE,
    }
)
"""Columns whose best, or newest, end is the largest."""

Order = Literal["best", "worst"]


class BoardQuery(Message):
    """Which rows of a board, and in which order."""

    key: str | None = Field(default=None, max_length=64)
    """Comparability key; the track's first by default."""
    sort: SortColumn = SortColumn.LOSS
    """Column that rows are sorted by."""
    order: Order = "best"
    """Which end of the column comes first; of names and authors, `best` is from A to Z."""
    q: str = Field(default="", max_length=100)
    """Text in the name, the author or a changed setting, whatever its capitals."""
    author: str = Field(default="", max_length=40)
    """Author, whole."""
    verdict: Verdict | Literal[""] = ""
    """Only rows of this verdict; empty for all."""
    setting: str = Field(default="", max_length=200)
    """Only rows that change this setting, such as `model.dropout`, or give it a value, such as
    `model.dropout=0.0`."""
    verified: Literal["", "yes", "no"] = ""
    """Only rows that trusted workers measured, or measured the same as, or only the others; empty
    for all."""
    max_cost_usd: float | None = Field(default=None, ge=0.0, le=1e9)
    """Only rows that cost at most this much a run."""
    page: int = Field(default=1, ge=1, le=MAX_PAGE)
    """Page, from 1."""
    page_rows: int = Field(default=PAGE_ROWS, ge=1, le=MAX_ROWS)
    """Rows on a page."""

    @field_validator("max_cost_usd", mode="before")
    @classmethod
    def _takes_an_empty_field(cls, value: object) -> object:
        """A form sends what was left empty, too."""
        return None if value == "" else value

    @property
    def is_filtered(self) -> bool:
        """Whether rows are left out."""
        return bool(self.filters())

    @property
    def is_descending(self) -> bool:
        """Whether the largest value comes first."""
        return (self.order == "best") == (self.sort in _LARGEST_FIRST)

    def filters(self) -> list[ColumnElement[bool]]:
        """The conditions on an entry."""
        conditions: list[ColumnElement[bool]] = []
        text = col(BoardEntry.search_text)
        if words := self._words():
            conditions.append(text.contains(words, autoescape=True))
        if self.author:
            conditions.append(col(BoardEntry.author) == self.author)
        if self.verdict:
            conditions.append(col(BoardEntry.verdict) == self.verdict)
        if self.verified:
            conditions.append(col(BoardEntry.verified).is_(self.verified == "yes"))
        if line := self._setting():
            conditions.append(text.contains(line, autoescape=True))
        if self.max_cost_usd is not None:
            conditions.append(col(BoardEntry.cost_usd) <= self.max_cost_usd)
        return conditions

    def narrowed(self, rows: Sequence[Standing]) -> Sequence[Standing]:
        """Those of a board's standings that are asked for: the same that `filters` lets pass."""
        if words := self._words():
            rows = [row for row in rows if words in row.search_text]
        if line := self._setting():
            rows = [row for row in rows if line in row.search_text]
        if self.author:
            rows = [row for row in rows if row.author == self.author]
        if self.verdict:
            rows = [row for row in rows if row.verdict == self.verdict]
        if self.verified:
            rows = [row for row in rows if row.verified == (self.verified == "yes")]
        if (most := self.max_cost_usd) is not None:
            rows = [row for row in rows if row.cost_usd is not None and row.cost_usd <= most]
        return rows

    def _words(self) -> str:
        return self.q.strip().lower()

    def _setting(self) -> str:
        """How the setting that is asked for stands in a row's text; empty for any."""
        setting = self.setting.strip().lower()
        if not setting:
            return ""
        path, has_value, value = setting.partition("=")
        end = f"{value.strip()}\n" if has_value else ""
        return f"\n{setting_line(path.strip(), end)}"

    def ordering(self) -> tuple[ColumnElement[Any], ...]:
        """The order of entries; equal ones go by their hash."""
        column = col(_COLUMNS[self.sort])
        identity = col(BoardEntry.experiment_hash)
        if self.is_descending:
            return column.desc().nulls_last(), identity.desc()
        return column.asc().nulls_last(), identity.asc()
