"""Table of the checkpoints that are kept for unfinished jobs."""

from datetime import datetime

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from server.tables import StoredText, UtcDateTime, utc_now


class CheckpointRow(SQLModel, table=True):
    """The newest checkpoint of a job. A file that no row names is none."""

    __tablename__ = "checkpoint"

    job_id: str = Field(foreign_key="job.id", primary_key=True)
    file_name: str = Field(max_length=80)
    """Its file in the store."""
    step: int = Field(sa_type=BigInteger)
    num_bytes: int = Field(sa_type=BigInteger)
    sha256: str = Field(max_length=64)
    attempt: int
    """The attempt that left it."""
    device: str = Field(max_length=120, sa_type=StoredText)
    """Device of the worker that left it."""
    code_commit: str = Field(max_length=80, sa_type=StoredText)
    """Version of the project on that worker."""
    stored_at: datetime = Field(sa_type=UtcDateTime, default_factory=utc_now)
