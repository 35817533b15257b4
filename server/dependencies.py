"""What routes need from the application.

What only looks something up is asynchronous: anything else FastAPI hands to another thread.
"""

from collections.abc import Mapping
from typing import Annotated

from fastapi import Depends, Query, Request
from sqlalchemy import Engine
from sqlmodel import Session

from core.schema.track import Track
from server.artifacts.incoming import IncomingCheckpoints
from server.database import get_session
from server.live.hub import Hub
from server.settings import ServerSettings
from server.settlement.settler import Settler


async def get_settings(request: Request) -> ServerSettings:
    """The server's settings."""
    settings: ServerSettings = request.app.state.settings
    return settings


async def get_tracks(request: Request) -> Mapping[str, Track]:
    """The tracks by name."""
    tracks: Mapping[str, Track] = request.app.state.tracks
    return tracks


async def get_engine(request: Request) -> Engine:
    """The database, for routes that write with `write_session`."""
    engine: Engine = request.app.state.engine
    return engine


async def get_checkpoints(request: Request) -> IncomingCheckpoints:
    """Where checkpoints arrive and lie."""
    checkpoints: IncomingCheckpoints = request.app.state.checkpoints
    return checkpoints


async def get_hub(request: Request) -> Hub:
    """Whom to tell what a route has changed."""
    hub: Hub = request.app.state.hub
    return hub


async def get_settler(request: Request) -> Settler:
    """Who settles the results that a route has stored."""
    settler: Settler = request.app.state.settler
    return settler


ReadSession = Annotated[Session, Depends(get_session)]
Settings = Annotated[ServerSettings, Depends(get_settings)]
Tracks = Annotated[Mapping[str, Track], Depends(get_tracks)]
Database = Annotated[Engine, Depends(get_engine)]
Changes = Annotated[Hub, Depends(get_hub)]
Settlement = Annotated[Settler, Depends(get_settler)]
Checkpoints = Annotated[IncomingCheckpoints, Depends(get_checkpoints)]
PageNumber = Annotated[int, Query(ge=1, le=100_000, description="Page of a list, from 1.")]
