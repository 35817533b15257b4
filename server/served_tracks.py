"""The tracks of this server, as its routes ask for them."""

from collections.abc import Mapping

from core.schema.track import Track
from server.errors import NotFound


def find_served_track(name: str, tracks: Mapping[str, Track]) -> Track:
    """The track of that name.

    Raises:
        NotFound: this server has none.
    """
    if name not in tracks:
        raise NotFound(f"there is no track {name!r}; tracks are {', '.join(tracks)}.")
    return tracks[name]
