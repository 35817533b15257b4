"""Feeds for those who follow boards."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from server.dependencies import ReadSession, Settings, Tracks
from server.served_tracks import find_served_track
from server.syndication.atom import MEDIA_TYPE, atom_feed
from server.syndication.cacheable import cacheable
from server.syndication.records import newest_records

router = APIRouter(include_in_schema=False)

MAX_AGE_SECONDS = 300


@router.get("/records.atom")
def get_all_records(
    request: Request, session: ReadSession, tracks: Tracks, settings: Settings
) -> Response:
    """The newest records of all tracks."""
    records = newest_records(session, tracks.values())
    feed = atom_feed(records, "Records of all tracks", settings.base_url, "/records.atom", "/")
    return cacheable(request, feed, MEDIA_TYPE, MAX_AGE_SECONDS)


@router.get("/tracks/{track}/records.atom")
def get_records(
    track: str, request: Request, session: ReadSession, tracks: Tracks, settings: Settings
) -> Response:
    """The newest records of a track."""
    served = find_served_track(track, tracks)
    page = f"/tracks/{track}"
    title = f"Records of {served.rules.title}"
    records = newest_records(session, [served])
    feed = atom_feed(records, title, settings.base_url, f"{page}/records.atom", page)
    return cacheable(request, feed, MEDIA_TYPE, MAX_AGE_SECONDS)
