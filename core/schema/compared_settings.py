"""Settings in which several configs differ."""

import json
from collections.abc import Sequence

from pydantic import BaseModel, JsonValue

from core.schema.base import Message
from core.schema.overrides import settings_of

MAX_COMPARED = 6
"""Submissions or runs beside each other."""


class ComparedSetting(Message):
    """One setting that is not the same in all configs; the tuples are in the configs' order."""

    path: str
    """Dotted path of the setting."""
    values: tuple[JsonValue, ...]
    """Value in each config; None also where a config has no such setting."""
    present: tuple[bool, ...]
    """Whether each config has such a setting: one that is absent is not one that is not set."""


def compared_settings(configs: Sequence[BaseModel]) -> tuple[ComparedSetting, ...]:
    """Settings that differ, in the order of the schema; 0, false, null and absent all do."""
    settings = [settings_of(config) for config in configs]
    rows = (
        ComparedSetting(
            path=path,
            values=tuple(each.get(path) for each in settings),
            present=tuple(path in each for each in settings),
        )
        for path in dict.fromkeys(path for each in settings for path in each)
    )
    return tuple(row for row in rows if len(set(written_values(row))) > 1)


def written_values(row: ComparedSetting) -> tuple[str | None, ...]:
    """Each value as JSON, which tells 0 from false; None where it is absent."""
    return tuple(
        json.dumps(value) if present else None
        for value, present in zip(row.values, row.present, strict=True)
    )
