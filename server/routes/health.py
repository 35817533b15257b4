"""Whether the server works."""

from typing import Literal

from fastapi import APIRouter, Request
from sqlmodel import select

from core.schema.base import Message
from core.schema.job import PROTOCOL_VERSION
from core.version import code_commit
from server.dependencies import ReadSession
from server.error_answers import documented
from server.errors import ReaperDied

router = APIRouter(tags=["health"])


class Health(Message):
    """The server answers, its database too, and leases expire."""

    status: Literal["ok"] = "ok"
    """Always so; anything else is an error answer."""
    code_commit: str
    """Version of the project."""
    protocol_version: int
    """What a worker must speak."""


@router.get("/health", responses=documented())
def get_health(request: Request, session: ReadSession) -> Health:
    """Check the database and the task that takes jobs back from silent workers."""
    session.exec(select(1)).one()
    if not request.app.state.reaper.is_alive:
        raise ReaperDied("leases no longer expire; restart the server.")
    return Health(code_commit=code_commit(), protocol_version=PROTOCOL_VERSION)
