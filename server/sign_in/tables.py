"""Table of the author names of people who sign in."""

from datetime import datetime

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from server.tables import UtcDateTime, utc_now


class GithubAuthor(SQLModel, table=True):
    """An author name and the GitHub account that has it, whatever its login becomes."""

    __tablename__ = "github_author"

    name_key: str = Field(primary_key=True, max_length=40)
    """The name in lower case: GitHub tells no capitals apart."""
    name: str = Field(max_length=40)
    """The name as its submissions spell it."""
    github_id: int | None = Field(default=None, sa_type=BigInteger, unique=True)
    """GitHub's number of the account; None while the name waits for whoever signs in with it."""
    created_at: datetime = Field(sa_type=UtcDateTime, default_factory=utc_now)
