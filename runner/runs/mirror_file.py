"""The file that names local stand-ins for data sets and tokenizers of the hub."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError

from core.errors import InvalidInput
from core.schema.mirror import Mirror
from core.schema.problem import Problem
from core.schema.validation_problems import problems_of
from core.yaml_document import read_yaml_file

MAX_MIRROR_BYTES = 1024 * 1024


def read_mirror(path: Path | None) -> Mirror:
    """Read a mirror file; without a path, nothing is mirrored.

    Relative paths in the file start from its own folder.

    Raises:
        InvalidInput: the file cannot be read or does not follow `Mirror`, or a place that it names
            is not there, which would fail each run that needs it.
    """
    if path is None:
        return Mirror()
    document = read_yaml_file(path, MAX_MIRROR_BYTES)
    try:
        mirror = Mirror.model_validate_json(json.dumps(document.value))
    except ValidationError as error:
        raise InvalidInput(problems_of(error, Mirror, document.lines)) from error
    found = Mirror(
        datasets=_absolute(mirror.datasets, path), tokenizers=_absolute(mirror.tokenizers, path)
    )
    if problems := [
        *_missing("datasets", found.datasets),
        *_missing("tokenizers", found.tokenizers),
    ]:
        raise InvalidInput(problems)
    return found


def _missing(key: str, places: Mapping[str, str]) -> Iterator[Problem]:
    for name, place in places.items():
        if not Path(place).exists():
            yield Problem(path=f"{key}.{name}", message=f"there is nothing at {place}.")


def _absolute(places: dict[str, str], file: Path) -> dict[str, str]:
    folder = file.resolve().parent
    return {name: str(folder / Path(place).expanduser()) for name, place in places.items()}
