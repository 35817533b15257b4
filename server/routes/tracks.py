"""The tracks that this server serves."""

from fastapi import APIRouter

from core.schema.track import Track, TrackRules
from server.dependencies import Tracks
from server.error_answers import documented
from server.served_tracks import find_served_track

router = APIRouter(prefix="/tracks", tags=["tracks"])


@router.get("", responses=documented())
def list_tracks(tracks: Tracks) -> tuple[TrackRules, ...]:
    """The rules of every track."""
    return tuple(track.rules for track in tracks.values())


@router.get("/{track}", responses=documented(404))
def get_track(track: str, tracks: Tracks) -> Track:
    """The rules of a track and its base config."""
    return find_served_track(track, tracks)
