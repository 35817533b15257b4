"""Pictures of where things stand, for other sites to show."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from server.dependencies import ReadSession, Tracks
from server.served_tracks import find_served_track
from server.syndication.badge import submission_badge, track_badge
from server.syndication.cacheable import cacheable
from server.syndication.card import submission_card
from server.syndication.placing import find_placing

router = APIRouter(include_in_schema=False)

SVG, PNG = "image/svg+xml", "image/png"
MAX_AGE_SECONDS = 300


@router.get("/submissions/{submission_id}/badge.svg")
def get_submission_badge(
    submission_id: str, request: Request, session: ReadSession, tracks: Tracks
) -> Response:
    """Rank, verdict and difference of a submission."""
    placing = find_placing(session, tracks, submission_id)
    return cacheable(request, submission_badge(placing), SVG, MAX_AGE_SECONDS)


@router.get("/submissions/{submission_id}/card.png")
def get_card(
    submission_id: str, request: Request, session: ReadSession, tracks: Tracks
) -> Response:
    """The picture that goes with a link to a submission."""
    placing = find_placing(session, tracks, submission_id)
    return cacheable(request, submission_card(placing), PNG, MAX_AGE_SECONDS)


@router.get("/tracks/{track}/badge.svg")
def get_track_badge(track: str, request: Request, session: ReadSession, tracks: Tracks) -> Response:
    """The loss to beat on a track."""
    badge = track_badge(session, find_served_track(track, tracks))
    return cacheable(request, badge, SVG, MAX_AGE_SECONDS)
