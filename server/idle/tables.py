"""Tables of what idle workers measure by themselves."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Column, ForeignKey
from sqlmodel import Field, SQLModel

from server.tables import StoredText, UtcDateTime, stored_enum, utc_now


class Ablation(SQLModel, table=True):
    """An experiment without one of its settings, which goes back to the baseline's value."""

    experiment_hash: str = Field(sa_column=Column(ForeignKey("experiment.hash"), primary_key=True))
    """The experiment with all its settings."""
    path: str = Field(primary_key=True, max_length=120)
    """The setting that is left out, dotted."""
    variant_hash: str | None = Field(default=None, foreign_key="experiment.hash", index=True)
    """The experiment without it; None if that cannot be run."""
    reason: str = Field(default="", sa_type=StoredText)
    """Why it cannot be run."""
    created_at: datetime = Field(sa_type=UtcDateTime, default_factory=utc_now)


class RebaseOutcome(StrEnum):
    """What a submission came to on a new version of its track."""

    EXPERIMENT = "experiment"
    """An experiment of that version, which is measured."""
    BASELINE = "baseline"
    """The baseline of that version."""
    WITHDRAWN = "withdrawn"
    """An experiment that is not measured, because the submission was withdrawn before."""
    INVALID = "invalid"
    """Nothing: it breaks the rules of that version."""


class Rebase(SQLModel, table=True):
    """A submission resolved anew on a later version of its track."""

    submission_id: str = Field(sa_column=Column(ForeignKey("submission.id"), primary_key=True))
    to_version: int = Field(primary_key=True)
    from_version: int
    """The version that it was submitted on."""
    outcome: RebaseOutcome = Field(sa_type=stored_enum(RebaseOutcome))
    experiment_hash: str | None = Field(default=None, foreign_key="experiment.hash", index=True)
    """What it resolved to; None if it is not valid there."""
    reason: str = Field(default="", sa_type=StoredText)
    """Why it is not valid."""
    created_at: datetime = Field(sa_type=UtcDateTime, default_factory=utc_now)
