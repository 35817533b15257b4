"""Tables of access tokens."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from core.schema.access import Scope
from server.tables import StoredText, UtcDateTime, stored_enum, utc_now


class AccessToken(SQLModel, table=True):
    """A token, known by the hash of its secret. It is kept when it has ended."""

    __tablename__ = "access_token"

    id: str = Field(primary_key=True, max_length=40)
    secret_hash: str = Field(unique=True, max_length=64)
    """SHA-256 in hexadecimal; a secret of 256 random bits needs no slower hash."""
    name: str = Field(max_length=40)
    scope: Scope = Field(sa_type=stored_enum(Scope))
    created_at: datetime = Field(sa_type=UtcDateTime, default_factory=utc_now)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)

    def has_ended(self, now: datetime) -> bool:
        """Whether it was revoked or has expired."""
        return self.revoked_at is not None or self.expires_at <= now


class WorkerToken(SQLModel, table=True):
    """The token that a worker registered with, whose reports alone count."""

    __tablename__ = "worker_token"

    worker_id: str = Field(primary_key=True, foreign_key="worker.id")
    token_id: str = Field(foreign_key="access_token.id", index=True)
    trusted_by: str = Field(default="", sa_type=StoredText)
    """The maintainer who marked the worker as trusted; empty where none did."""
