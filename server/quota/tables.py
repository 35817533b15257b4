"""The book of what attempts cost their authors. Rows are added, and never changed or deleted."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from server.tables import UtcDateTime, stored_enum


class ChargeKind(StrEnum):
    """What a row of the book is."""

    CHARGE = "charge"
    """What an attempt took."""
    REFUND = "refund"
    """The same back, where the platform ended the attempt."""


class Charge(SQLModel, table=True):
    """The time of one attempt, charged to an author or given back."""

    __table_args__ = (
        UniqueConstraint("job_id", "attempt", "kind", name="uq_charge_job_id"),
        Index("ix_charge_author", "author", "booked_at"),
    )

    id: int | None = Field(default=None, primary_key=True)
    author: str = Field(max_length=40)
    job_id: str = Field(foreign_key="job.id", max_length=40)
    attempt: int
    """Number of the job's attempt."""
    kind: ChargeKind = Field(sa_type=stored_enum(ChargeKind))
    gpu_seconds: float
    """Time under lease, times GPUs; never negative."""
    booked_at: datetime = Field(sa_type=UtcDateTime)
    """When the attempt ended."""
