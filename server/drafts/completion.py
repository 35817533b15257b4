"""What an editor offers while somebody writes a submission, made from the schema."""

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic import JsonValue
from pydantic.fields import FieldInfo

from core.schema.allowed_values import allowed_values
from core.schema.base import Message
from core.schema.overrides import settings_of
from core.schema.setting_names import entry_groups_of, find_field, setting_names
from core.schema.submission import Submission
from core.schema.track import Track
from server.memory.setting_facts import setting_facts


class OfferedKey(Message):
    """A key, and what may stand behind it."""

    path: str
    """Dotted path: of a setting below `overrides`, or of a key of the submission itself; inside
    the entries of a list, the key alone."""
    what: str
    """What it is, in a line."""
    allowed: str
    """What may stand there: n is a whole number, x any; values are in backquotes."""
    values: tuple[JsonValue, ...]
    """The values that may stand there, or be entries of its list, where they can be listed."""
    baseline: JsonValue
    """The baseline's value; None where it has none."""
    entries: tuple["OfferedKey", ...]
    """Keys of the entries, where it is a list of groups."""


class Completions(Message):
    """Everything that a submission to a track may have."""

    track: str
    """Track name."""
    keys: tuple[OfferedKey, ...]
    """Keys of the submission itself."""
    settings: tuple[OfferedKey, ...]
    """What the track lets `overrides` change, in the order of the schema."""


def completions(track: Track, tracks: tuple[str, ...]) -> Completions:
    """What may stand in a submission to a track.

    Args:
        tracks: names of all tracks.
    """
    baseline = settings_of(track.base)
    return Completions(
        track=track.rules.name,
        keys=tuple(
            _key(name, field, values=tracks if name == "track" else ())
            for name, field in Submission.model_fields.items()
        ),
        settings=tuple(
            _setting(path, baseline.get(path))
            for path in setting_names()
            if track.rules.is_open(path)
        ),
    )


def _setting(path: str, baseline: JsonValue) -> OfferedKey:
    facts, field = setting_facts(path), find_field(tuple(path.split(".")))
    assert field is not None, "every name of a setting has a field"
    return OfferedKey(
        path=path,
        what=facts.what,
        allowed=facts.allowed,
        values=tuple(listed_values(field.annotation)),
        baseline=baseline,
        entries=tuple(
            _key(name, inner, allowed_values(inner), tuple(listed_values(inner.annotation)))
            for group in entry_groups_of(field)
            for name, inner in group.model_fields.items()
        ),
    )


def _key(
    path: str, field: FieldInfo, allowed: str = "", values: tuple[JsonValue, ...] = ()
) -> OfferedKey:
    what = " ".join((field.description or "").split())
    return OfferedKey(
        path=path, what=what, allowed=allowed, values=values, baseline=None, entries=()
    )


def listed_values(annotation: Any) -> Iterator[JsonValue]:
    """The values of a kind that has few: a choice, a boolean, or a list of these."""
    if annotation is bool:
        yield from (True, False)
    elif get_origin(annotation) is Literal:
        yield from get_args(annotation)
    elif get_origin(annotation) is tuple:
        yield from listed_values(get_args(annotation)[0])
