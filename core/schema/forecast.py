"""When a job should start and end."""

from typing import Literal

from pydantic import AwareDatetime, ConfigDict, Field

from core.schema.base import Message

Basis = Literal["measured", "estimated"]


class Forecast(Message):
    """Where a job that waits or runs stands, and when it should start and end."""

    model_config = ConfigDict(extra="ignore")

    as_of: AwareDatetime
    """When this was worked out."""
    position: int | None = Field(ge=1)
    """Place in the queue, counted from 1; None once it runs."""
    starts_at: AwareDatetime | None
    """When it should start, or when it did; None if nobody can say."""
    ends_at: AwareDatetime | None
    """When it should end; None if nobody can say."""
    basis: Basis | None
    """`measured`: from how long runs of the same tracks took on the same devices; `estimated`: for
    at least one of them the track's estimate stands in, or, without one, another device. None
    without an end."""
    note: str
    """Why a time is missing; empty if none is."""
    is_alarm: bool = False
    """Whether no worker that may take it was seen for as long as the server's alarm is set to."""
