"""Tables of canaries: what workers measured of the baseline, and which of them are not trusted."""

from datetime import datetime

from sqlalchemy import Column, ForeignKey
from sqlmodel import Field, SQLModel

from server.tables import StoredText, UtcDateTime, utc_now


class WorkerFreeze(SQLModel, table=True):
    """A time during which nothing that a worker measures on a track counts."""

    __tablename__ = "worker_freeze"

    id: int | None = Field(default=None, primary_key=True)
    worker_id: str = Field(foreign_key="worker.id", index=True)
    track: str = Field(max_length=40)
    reason: str = Field(sa_type=StoredText)
    frozen_at: datetime = Field(sa_type=UtcDateTime, default_factory=utc_now)
    asked_at: datetime = Field(sa_type=UtcDateTime, default_factory=utc_now)
    """When the runs that may end it were last queued."""
    outcome: str = Field(default="", sa_type=StoredText)
    """What those runs came to; empty while they are under way."""
    thawed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When it ended; None while it lasts."""


class CanaryRow(SQLModel, table=True):
    """A run of a track's baseline that one worker was asked for, to be compared with itself.

    The key and the loss stand here and not in a board: the run says something of its worker alone.
    """

    __tablename__ = "canary"

    run_id: str = Field(sa_column=Column(ForeignKey("run.id"), primary_key=True))
    worker_id: str = Field(foreign_key="worker.id", index=True)
    track: str = Field(max_length=40)
    device: str = Field(max_length=120, sa_type=StoredText)
    """The worker's device when it was asked."""
    freeze_id: int | None = Field(default=None, foreign_key="worker_freeze.id", index=True)
    """The freeze that it may end; None for a point of the control chart."""
    asked_at: datetime = Field(sa_type=UtcDateTime, default_factory=utc_now)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When its result came; None without one, as for all that follows."""
    comparability_key: str | None = Field(default=None, max_length=16)
    setup: str = Field(default="", sa_type=StoredText)
    """Device, driver and PyTorch that it ran on."""
    val_loss: float | None = None
    tokens_per_second: float | None = None
    relative_speed: float | None = None
    """Speed as a multiple of the anchor's; None where the worker measured no anchor."""
    centre: float | None = None
    """Mean that it was judged by; None while there was nothing to judge it by."""
    deviation: float | None = None
    """Deviation that it was judged by."""
    is_out: bool = False
    """Whether it lies beyond three deviations."""
