"""Checking what an author writes, before it is submitted."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from server.access.caller import ANYBODY, Caller
from server.access.requirement import find_sender
from server.dependencies import ReadSession, Settings, Tracks
from server.drafts.check import DraftCheck, check_draft
from server.error_answers import documented
from server.settings import Access
from server.tables import utc_now

router = APIRouter(prefix="/check", tags=["submissions"])


async def read_body(request: Request) -> bytes:
    """FastAPI dependency: the body as it was sent."""
    return await request.body()


def find_asker(
    sender: Annotated[Caller | None, Depends(find_sender)], settings: Settings
) -> Caller | None:
    """FastAPI dependency: who asks; None for somebody who could not submit anything."""
    return ANYBODY if settings.access is Access.OPEN else sender


Asker = Annotated[Caller | None, Depends(find_asker)]


@router.post(
    "",
    responses=documented(403, 413),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/yaml": {"schema": {"type": "string"}}},
        }
    },
)
def check(
    text: Annotated[bytes, Depends(read_body)],
    asker: Asker,
    session: ReadSession,
    tracks: Tracks,
    settings: Settings,
    author: Annotated[
        str, Query(max_length=40, description="Who submits it, if the text does not say.")
    ] = "",
) -> DraftCheck:
    """What is wrong with a submission, what it would cost, and what is known; queues nothing.

    It needs no token, and answers a text that would be refused as well.
    """
    return check_draft(session, tracks, settings, text, author, asker, utc_now())
