"""The tracks that this server serves."""

from fastapi import APIRouter

from core.schema.track import Track, TrackRules
from server.dependencies import ReadSession, Tracks
from server.error_answers import documented
from server.served_tracks import find_served_track
from server.track_contract import TrackContract, track_contract

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
