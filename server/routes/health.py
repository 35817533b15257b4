"""Whether the server works."""

from typing import Literal

from fastapi import APIRouter, Request
from sqlmodel import select

from core.schema.base import Message
from core.schema.job import PROTOCOL_VERSION
from core.version import code_commit
from server.dependencies import ReadSession, Settings, Tracks
from server.error_answers import documented
from server.errors import ReaperDied
from server.tables import utc_now
from server.waiting.alarm import QueueAlarm, queue_alarm

router = APIRouter(tags=["health"])


class Health(Message):
    """The server answers, its database too, and leases expire."""

    status: Literal["ok", "alarm"]
    """`alarm` where jobs wait for workers that are not there; a fault of the server itself is an
    error answer."""
    alarm: QueueAlarm | None
    """Which jobs, and since when."""
    code_commit: str
    """Version of the project."""
    protocol_version: int
    """What a worker must speak."""


@router.get("/health", responses=documented())
def get_health(
    request: Request, session: ReadSession, tracks: Tracks, settings: Settings
) -> Health:
    """Check the database, the task that takes jobs back, and whether anybody takes the jobs."""
    session.exec(select(1)).one()
    if not request.app.state.reaper.is_alive:
        raise ReaperDied("leases no longer expire; restart the server.")
    alarm = queue_alarm(session, tracks, settings, utc_now())
    return Health(
        status="alarm" if alarm else "ok",
        alarm=alarm,
        code_commit=code_commit(),
        protocol_version=PROTOCOL_VERSION,
    )
