"""What pydantic found wrong, in the words of somebody who writes YAML."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from core.schema.problem import Problem
from core.schema.setting_names import (
    Groups,
    Path,
    entry_groups_of,
    find_field,
    groups_of,
    kinds_of,
    nearest_name,
)

Lines = Mapping[Path, int]
"""Line of each key of a document."""


def problems_of(
    error: ValidationError, model: type[BaseModel], lines: Lines | None = None
) -> list[Problem]:
    """Translate pydantic's errors into problems with path, line, value, bound and unit."""
    lines = lines or {}
    details = error.errors(include_url=False)
    places = {detail["loc"][:-1] for detail in details}
    # Wrong entries of a list are not counted, so pydantic calls the list too short besides.
    return [
        _problem(dict(detail), model, lines)
        for detail in details
        if detail["type"] != "too_short" or detail["loc"] not in places
    ]


def by_line(problems: Sequence[Problem]) -> list[Problem]:
    """Problems in the order of the document; those without a line come last."""
    return sorted(problems, key=lambda problem: problem.line or math.inf)


def _place(loc: tuple[str | int, ...], model: type[BaseModel]) -> tuple[Path, Groups]:
    """Path of an error without the kinds that pydantic adds, and the groups of its last key."""
    path: Path = ()
    groups: Groups = (model,)
    holders = groups
    entries: Groups = ()
    for part in map(str, loc):
        if entries:
            # The number of a list's entry; what follows is a key of the entry.
            path, groups, entries = (*path, part), entries, ()
            continue
        if len(groups) > 1 and (of_kind := tuple(g for g in groups if part in kinds_of(g))):
            groups = of_kind
            continue
        path, holders = (*path, part), groups
        field = next((g.model_fields[part] for g in groups if part in g.model_fields), None)
        groups = groups_of(field) if field else ()
        entries = entry_groups_of(field) if field else ()
    return path, holders


def _problem(detail: dict[str, Any], model: type[BaseModel], lines: Lines) -> Problem:
    path, holders = _place(detail["loc"], model)
    field = find_field(path, model)
    if detail["type"] == "extra_forbidden":
        siblings = [key for group in holders for key in group.model_fields]
        message = f"there is no such key; allowed are {', '.join(siblings)}."
        return Problem(
            path=".".join(path),
            message=message,
            line=_line(lines, path),
            nearest=nearest_name(path[-1], siblings),
        )
    line = _line(lines, path)
    if detail["type"] == "missing":
        line = line or _line(lines, path[:-1])
    message = _what_is_wrong(detail)
    # What a whole group is for explains nothing.
    if field is not None and field.description and not groups_of(field):
        message += f" ({' '.join(field.description.split()).rstrip('.')})"
    return Problem(path=".".join(path), message=message, line=line)


def _what_is_wrong(detail: Mapping[str, Any]) -> str:
    """The value and what is allowed, in the words of somebody who writes YAML."""
    match detail["type"]:
        case "missing":
            return "is missing."
        case "value_error":
            return f"{detail['ctx']['error']}."
        case "string_pattern_mismatch":
            allowed = "it has not the form that is asked for"
        case "tuple_type":
            allowed = "must be a list"
        case "bool_type":
            allowed = "must be true or false"
        case "too_short":
            allowed = f"must have {detail['ctx']['min_length']} or more entries"
        case "too_long":
            allowed = f"must have {detail['ctx']['max_length']} or fewer entries"
        case _:
            allowed = detail["msg"].replace("Input should be", "must be")
    return f"{_shown(detail['input'])} is not allowed: {allowed}."


def _line(lines: Lines, path: Path) -> int | None:
    """Line of a path, or of the first override below it, or of the list that it is an entry of."""
    if path in lines:
        return lines[path]
    below = min((line for key, line in lines.items() if key[: len(path)] == path), default=None)
    if below is None and path and path[-1].isdecimal():
        return _line(lines, path[:-1])
    return below


def _shown(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."
