"""Tables of the ledger."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Column
from sqlmodel import Field, SQLModel

from core.schema.ledger import LedgerKind
from server.tables import UtcDateTime, stored_enum


class LedgerRow(SQLModel, table=True):
    """An entry; rows are only ever added."""

    __tablename__ = "ledger_entry"

    sequence: int = Field(primary_key=True, sa_type=BigInteger)
    recorded_at: datetime = Field(sa_type=UtcDateTime)
    kind: LedgerKind = Field(sa_type=stored_enum(LedgerKind))
    subject: str = Field(max_length=80, index=True)
    contents: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    previous_hash: str = Field(max_length=64)
    hash: str = Field(max_length=64)


class LedgerHead(SQLModel, table=True):
    """The last entry: one row, which a writer locks, so that entries follow one another."""

    __tablename__ = "ledger_head"

    id: int = Field(primary_key=True)
    sequence: int = Field(sa_type=BigInteger)
    hash: str = Field(max_length=64)
