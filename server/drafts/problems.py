"""What is wrong with a draft, each problem with the value and what is allowed in its place."""

from collections.abc import Iterable, Mapping

from pydantic import Field, JsonValue

from core.schema.allowed_values import allowed_values
from core.schema.overrides import flatten
from core.schema.problem import Problem
from core.schema.setting_names import find_field, groups_of
from core.schema.submission import Submission
from core.schema.track import Track, TrackRules


class DraftProblem(Problem):
    """A problem, with what was written and what may be."""

    value: JsonValue = None
    """What the text has at the path; None if nothing."""
    allowed: str = Field(default="")
    """What may stand there: n is a whole number, x any; values are in backquotes. Empty where
    there is no such key, and where the track fixes it."""


def draft_problems(
    problems: Iterable[Problem], text: Mapping[str, JsonValue], tracks: Mapping[str, Track]
) -> tuple[DraftProblem, ...]:
    """Problems with their values.

    Args:
        text: the keys and values of the submission; none if it could not be read.
    """
    overrides = text.get("overrides")
    settings = dict(flatten(overrides)) if isinstance(overrides, dict) else {}
    track = tracks.get(str(text.get("track")))
    return tuple(
        DraftProblem(
            **dict(problem),
            value=_value(tuple(problem.path.split(".")), settings, text),
            allowed=_allowed(problem.path, tracks, track.rules if track else None),
        )
        for problem in problems
    )


def _value(
    path: tuple[str, ...],
    settings: Mapping[tuple[str, ...], JsonValue],
    text: Mapping[str, JsonValue],
) -> JsonValue:
    """What stands at a path; an entry of a list has its number and its key behind the list's."""
    if path == ("overrides",):
        # A budget is exceeded: no one value is wrong.
        return None
    if len(path) == 1 and path[0] in text:
        return text[path[0]]
    for end in range(len(path), 0, -1):
        if path[:end] in settings:
            return _inside(settings[path[:end]], path[end:])
    return None


def _inside(value: JsonValue, rest: tuple[str, ...]) -> JsonValue:
    for key in rest:
        if isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        elif isinstance(value, dict):
            value = value.get(key)
        else:
            return None
    return value


def _allowed(path: str, tracks: Mapping[str, Track], rules: TrackRules | None) -> str:
    if path == "track":
        return ", ".join(f"`{name}`" for name in tracks)
    if path in Submission.model_fields and path != "overrides":
        return " ".join((Submission.model_fields[path].description or "").split())
    if rules is not None and not rules.is_open(path):
        return ""
    field = find_field(tuple(path.split(".")))
    return allowed_values(field) if field is not None and not groups_of(field) else ""
