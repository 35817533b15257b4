"""Tables that repeat what runs measured, so that a board is read without reading every run.

Nothing is decided by them: `server.board.entries` writes them anew from runs, judgements and
withdrawals whenever one of those changes.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, ForeignKey, Index
from sqlmodel import Field, SQLModel

from server.tables import StoredText, UtcDateTime, stored_enum
from server.verdict.judge import Verdict


class Place(StrEnum):
    """Where a board shows an experiment."""

    RANKED = "ranked"
    BASELINE = "baseline"
    WITHDRAWN = "withdrawn"
    """Behind those that are ranked."""
    UNLISTED = "unlisted"
    """Nowhere: a mere ablation, or one whose results are all held."""


SORTED = (
    "val_loss",
    "val_accuracy",
    "val_bpb",
    "tokens_per_second",
    "relative_speed",
    "peak_memory_bytes",
    "cost_usd",
    "num_seeds",
    "newest_at",
    "name_key",
    "author",
    "arc_challenge",
    "arc_easy",
    "hellaswag",
    "synthetic_world",
)
"""Columns that a board can be sorted by, each of which has an index."""


class BoardEntry(SQLModel, table=True):
    """An experiment on a board: means over its runs that count."""

    __tablename__ = "board_entry"
    __table_args__ = (
        *(
            Index(f"ix_board_entry_{name}", "comparability_key", "place", name, "experiment_hash")
            for name in SORTED
        ),
        Index("ix_board_entry_experiment_hash", "experiment_hash"),
        Index("ix_board_entry_first_trusted_at", "comparability_key", "first_trusted_at"),
        Index("ix_board_entry_revision", "comparability_key", "revision"),
    )

    comparability_key: str = Field(primary_key=True, max_length=16)
    experiment_hash: str = Field(sa_column=Column(ForeignKey("experiment.hash"), primary_key=True))
    place: Place = Field(sa_type=stored_enum(Place))
    submission_id: str | None = Field(default=None, max_length=40)
    name: str = Field(max_length=160, sa_type=StoredText)
    name_key: str = Field(max_length=160, sa_type=StoredText)
    """The name as it is sorted: without regard to capitals."""
    author: str = Field(max_length=40)
    changes: list[dict[str, Any]] = Field(sa_column=Column(JSON, nullable=False))
    """The first settings that differ from the baseline."""
    num_changes: int
    """How many differ."""
    search_text: str = Field(sa_type=StoredText)
    """Name, author and a line `path=value` for each changed setting, in small letters."""
    verdict: Verdict | None = Field(default=None, sa_type=stored_enum(Verdict))
    # None is the database's NULL, not JSON's.
    result: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    """The pooled figures; None where nothing counts."""
    num_results: int
    """Runs with a result, whether or not they count."""
    num_verified: int
    """Those of them that trusted workers measured, or measured the same as."""
    verified: bool
    """Whether all that count are so."""
    first_trusted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When its first run of a trusted worker ended."""
    val_loss: float | None = None
    val_accuracy: float | None = None
    val_bpb: float | None = None
    tokens_per_second: float | None = None
    relative_speed: float | None = None
    peak_memory_bytes: int | None = Field(default=None, sa_type=BigInteger)
    cost_usd: float | None = None
    num_seeds: int
    newest_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When its newest run ended."""
    revision: int = 0
    """The revision of its board that changed it last."""
    arc_challenge: float | None = None
    """`acc_norm` of that task, as in the three below."""
    arc_easy: float | None = None
    hellaswag: float | None = None
    synthetic_world: float | None = None


class BoardTotals(SQLModel, table=True):
    """A board, and how much is on it."""

    __tablename__ = "board"

    comparability_key: str = Field(primary_key=True, max_length=16)
    track: str = Field(max_length=40, index=True)
    track_version: int
    version: str = Field(max_length=40)
    """Another one after each change of an entry; never the same twice, on any server."""
    revision: int = 0
    """Changes so far, so that who knows the board as it was reads no more than what changed."""
    num_listed: int = 0
    """Experiments that are ranked, withdrawn or the baseline."""
    num_ranked: int = 0
    num_results: int = 0
    num_verified: int = 0
    """Results of trusted workers, or equal to theirs."""
    num_baseline_results: int = 0
    """Results of the baseline that others are judged against."""
    first_trusted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When the first result of a trusted worker came."""
    latest_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    latest_baseline_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    note: str = Field(default="", sa_type=StoredText)
    """What the project says of its own runs on it."""
