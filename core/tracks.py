"""The tracks: one folder each under `baselines/`."""

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, Field, ValidationError

from core.errors import InvalidInput
from core.schema.base import Message
from core.schema.experiment import ExperimentConfig
from core.schema.problem import Problem
from core.schema.result import RunResult
from core.schema.setting_names import nearest_name
from core.schema.track import Track, TrackRules
from core.schema.validation_problems import problems_of
from core.yaml_document import read_yaml_file

Model = TypeVar("Model", bound=BaseModel)

MAX_TRACK_FILE_BYTES = 1024 * 1024
BASELINES = Path(__file__).resolve().parent.parent / "baselines"
"""The folder that comes with the project, in a checkout and in an installation."""


class BaselineRun(Message):
    """A measured run of a track's base config that comes with the project."""

    run_id: str = Field(pattern=r"^[a-z0-9_-]{1,40}$")
    """Id, unique among all tracks."""
    measured_at: date
    """Day, as an ISO date."""
    experiment_hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Identity of the config that was run; must be that of the track's base config."""
    note: str
    """Machine and circumstances, in plain words."""
    result: RunResult
    """What came out."""


class BaselineResults(Message):
    """The contents of `results.json`."""

    runs: tuple[BaselineRun, ...] = ()
    """Measured runs; may be of several comparability keys."""


def load_tracks(folder: Path = BASELINES) -> dict[str, Track]:
    """Read every track below a folder, by name.

    Raises:
        InvalidInput: a file is missing or does not follow its schema.
    """
    names = sorted(path.parent.name for path in folder.glob("*/track.yaml"))
    return {name: _load_track(folder / name) for name in names}


def load_baseline_results(track: str, folder: Path = BASELINES) -> BaselineResults:
    """Read a track's `results.json`.

    Raises:
        InvalidInput: the file is missing or does not follow its schema.
    """
    path = folder / track / "results.json"
    try:
        return BaselineResults.model_validate_json(path.read_text())
    except OSError as error:
        raise InvalidInput([Problem(path="", message=f"cannot read {path}.")]) from error
    except ValidationError as error:
        raise InvalidInput(problems_of(error, BaselineResults)) from error


def find_track(name: str, tracks: Mapping[str, Track]) -> Track:
    """The track of that name.

    Raises:
        InvalidInput: there is none; the message lists those that there are.
    """
    if name in tracks:
        return tracks[name]
    message = f"there is no track {name!r}; tracks are {', '.join(tracks)}."
    raise InvalidInput(
        [Problem(path="track", message=message, nearest=nearest_name(name, list(tracks)))]
    )


def _load_track(folder: Path) -> Track:
    rules = _load(folder / "track.yaml", TrackRules)
    if rules.name != folder.name:
        message = f"{rules.name!r} must be the folder's name {folder.name!r}."
        raise InvalidInput([Problem(path="name", message=message)])
    return Track(rules=rules, base=_load(folder / "config.yaml", ExperimentConfig))


def _load(path: Path, model: type[Model]) -> Model:
    document = read_yaml_file(path, MAX_TRACK_FILE_BYTES)
    try:
        return model.model_validate_json(json.dumps(document.value))
    except ValidationError as error:
        problems = problems_of(error, model, document.lines)
        raise InvalidInput(
            [p.model_copy(update={"message": f"{path}: {p.message}"}) for p in problems]
        ) from error
