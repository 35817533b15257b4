"""Waiting for changes.

Not in the API's description: OpenAPI has no words for an answer that does not end.
"""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import StringConstraints

from server.dependencies import Changes, Tracks
from server.live.event_stream import EventStream
from server.live.topics import MAX_TOPICS, PATTERN, track_of
from server.served_tracks import find_served_track

router = APIRouter(prefix="/events", include_in_schema=False)
Topic = Annotated[str, StringConstraints(pattern=PATTERN)]


@router.get("", response_class=EventStream)
async def get_events(
    topic: Annotated[list[Topic], Query(min_length=1, max_length=MAX_TOPICS)],
    changes: Changes,
    tracks: Tracks,
) -> EventStream:
    """Say `changed` whenever one of the topics has, at most once a second for each."""
    for name in filter(None, map(track_of, topic)):
        find_served_track(name, tracks)
    return EventStream(changes, topic)
