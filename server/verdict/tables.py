"""Tables of what is said about experiments."""

from datetime import datetime

from sqlalchemy import Column, ForeignKey
from sqlmodel import Field, SQLModel

from server.tables import StoredText, UtcDateTime, utc_now


class JudgementRow(SQLModel, table=True):
    """The present judgement of an experiment under a comparability key."""

    __tablename__ = "judgement"

    experiment_hash: str = Field(sa_column=Column(ForeignKey("experiment.hash"), primary_key=True))
    comparability_key: str = Field(primary_key=True, max_length=16)
    verdict: str = Field(max_length=20)
    delta: float
    low: float
    high: float
    num_runs: int
    """Runs that were counted: a number at which a verdict is taken."""
    num_baseline_runs: int
    further_runs: int | None = None
    was_better_at: int | None = None
    """The number of runs at which it was last called better; None if it never was."""
    judged_at: datetime = Field(sa_type=UtcDateTime, default_factory=utc_now)


class RecordRow(SQLModel, table=True):
    """An experiment that was better than the record before it."""

    __tablename__ = "record"

    id: int | None = Field(default=None, primary_key=True)
    comparability_key: str = Field(max_length=16, index=True)
    experiment_hash: str = Field(foreign_key="experiment.hash", index=True)
    val_loss: float
    """Mean over the runs that were counted when it became the record."""
    set_at: datetime = Field(sa_type=UtcDateTime, default_factory=utc_now)
    lost_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When it turned out to be none, as after a withdrawal; None while it stands."""
    lost_reason: str = Field(default="", sa_type=StoredText)


class Withdrawal(SQLModel, table=True):
    """A submission that its author took back, and why; its row stays visible."""

    submission_id: str = Field(sa_column=Column(ForeignKey("submission.id"), primary_key=True))
    reason: str = Field(sa_type=StoredText)
    requested_by: str = Field(max_length=40, sa_type=StoredText)
    created_at: datetime = Field(sa_type=UtcDateTime, default_factory=utc_now)


class RerunRow(SQLModel, table=True):
    """That somebody asked for another look at an experiment, and what came out."""

    __tablename__ = "rerun"

    id: int | None = Field(default=None, primary_key=True)
    experiment_hash: str = Field(foreign_key="experiment.hash", max_length=64, index=True)
    comparability_key: str | None = Field(default=None, max_length=16, index=True)
    """The board that is meant; None before the experiment's first result."""
    requested_by: str = Field(max_length=40, sa_type=StoredText)
    num_runs_then: int
    """Number of runs at which its verdict is taken."""
    verdict_before: str | None = Field(default=None, max_length=20)
    """The verdict when it was asked for; None if there was none."""
    verdict_after: str | None = Field(default=None, max_length=20)
    """The first verdict on as many runs; None until it is taken."""
    asked_at: datetime = Field(sa_type=UtcDateTime, default_factory=utc_now)
