"""Results from which not everything has been drawn yet that follows from them."""

from sqlalchemy import Column, ForeignKey
from sqlmodel import Field, SQLModel


class UnsettledResult(SQLModel, table=True):
    """A note beside a result, in the same transaction; it is gone once the result is settled."""

    __tablename__ = "unsettled_result"

    run_id: str = Field(sa_column=Column(ForeignKey("run.id"), primary_key=True))
