"""The tracks that this server serves."""

from fastapi import APIRouter, Request, Response

from core.schema.track import Track, TrackRules
from server.dependencies import ReadSession, Tracks
from server.drafts.completion import Completions, completions
from server.error_answers import documented
from server.served_tracks import find_served_track
from server.syndication.cacheable import cacheable
from server.track_contract import TrackContract, track_contract

MAX_AGE_SECONDS = 300

router = APIRouter(prefix="/tracks", tags=["tracks"])


@router.get("", responses=documented())
def list_tracks(tracks: Tracks) -> tuple[TrackRules, ...]:
    """The rules of every track."""
    return tuple(track.rules for track in tracks.values())


@router.get("/{track}", responses=documented(404))
def get_track(track: str, tracks: Tracks) -> Track:
    """The rules of a track and its base config."""
    return find_served_track(track, tracks)


@router.get("/{track}/rules", responses=documented(404))
def get_rules(track: str, session: ReadSession, tracks: Tracks) -> TrackContract:
    """The rules of a track in full: what it opens and fixes, with bounds; keys and versions."""
    return track_contract(session, find_served_track(track, tracks))


@router.get(
    "/{track}/completions",
    response_model=Completions,
    responses={**documented(404), 304: {"description": "As before."}},
)
def get_completions(track: str, request: Request, tracks: Tracks) -> Response:
    """What an editor may offer for a submission: keys and open settings with their values."""
    offered = completions(find_served_track(track, tracks), tuple(tracks))
    content = offered.model_dump_json().encode()
    return cacheable(request, content, "application/json", MAX_AGE_SECONDS)
