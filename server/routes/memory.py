"""What was tried on a track: by setting, and near a config."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import ValidationError

from core.errors import InvalidInput
from core.schema.experiment import ExperimentConfig
from core.schema.validation_problems import problems_of
from server.dependencies import PageNumber, ReadSession, Tracks
from server.error_answers import documented
from server.memory.nearest import NearestExperiments, nearest_experiments
from server.memory.settings import SettingMemory, TrackMemory, setting_memory, track_memory
from server.served_tracks import find_served_track

router = APIRouter(prefix="/tracks/{track}", tags=["memory"])


async def _config(request: Request) -> ExperimentConfig:
    """The body as a config, which takes no text for a number and so is read from the JSON itself.

    Raises:
        InvalidInput: it does not follow the schema.
    """
    try:
        return ExperimentConfig.model_validate_json(await request.body())
    except ValidationError as error:
        raise InvalidInput(problems_of(error, ExperimentConfig)) from error


@router.get("/settings", responses=documented(404))
def get_settings(
    track: str, session: ReadSession, tracks: Tracks, key: str | None = None
) -> TrackMemory:
    """Every setting, how many experiments changed it, and the best that it gave alone."""
    return track_memory(session, find_served_track(track, tracks), key)


@router.get("/settings/{path}", responses=documented(404))
def get_setting(
    track: str,
    path: str,
    session: ReadSession,
    tracks: Tracks,
    key: str | None = None,
    page: PageNumber = 1,
) -> SettingMemory:
    """One setting by its dotted path: what it is, and 100 of the experiments that changed it.

    Those that changed the least besides come first.
    """
    return setting_memory(session, find_served_track(track, tracks), path, key, page)


@router.post(
    "/nearest",
    responses=documented(403, 404, 413),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"type": "object"}}},
        }
    },
)
def find_nearest(
    track: str,
    config: Annotated[ExperimentConfig, Depends(_config)],
    session: ReadSession,
    tracks: Tracks,
) -> NearestExperiments:
    """The experiments nearest to a whole config, as a submission's `config` gives one."""
    return nearest_experiments(session, find_served_track(track, tracks), config)
