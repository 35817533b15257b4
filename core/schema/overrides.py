"""Resolving a diff, and the typed difference of two configs."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, JsonValue, ValidationError

from core.errors import InvalidInput
from core.schema.base import Message
from core.schema.experiment import ExperimentConfig
from core.schema.problem import Problem
from core.schema.setting_names import (
    KIND,
    Path,
    entry_groups_of,
    find_field,
    groups_of,
    nearest_name,
    setting_names,
)
from core.schema.track import TrackRules
from core.schema.validation_problems import Lines, by_line, problems_of


class Change(Message):
    """One setting that differs between two configs."""

    path: str
    """Dotted path of the setting."""
    before: JsonValue
    """Value in the first config; None where it has no such setting."""
    after: JsonValue
    """Value in the second config; None where it has no such setting."""


def flatten(
    overrides: Mapping[str, JsonValue], prefix: Path = ()
) -> Iterator[tuple[Path, JsonValue]]:
    """Yield each (path, value) of nested or dotted overrides, in the order written."""
    for key, value in overrides.items():
        path = (*prefix, *key.split("."))
        if isinstance(value, dict) and value:
            yield from flatten(value, path)
        else:
            yield path, value


def resolve(
    base: ExperimentConfig,
    overrides: Mapping[str, JsonValue],
    lines: Lines | None = None,
    rules: TrackRules | None = None,
) -> ExperimentConfig:
    """Apply overrides to a base config.

    Args:
        lines: line of each override by its path, for the messages.
        rules: if given, only the settings that this track opens may be set.

    Raises:
        InvalidInput: with every unknown key, every closed setting and every wrong value.
    """
    lines = lines or {}
    merged = base.model_dump(mode="json")
    problems: list[Problem] = []
    accepted: dict[Path, JsonValue] = {}
    seen: set[Path] = set()
    for path, value in flatten(overrides):
        problem = _locate(path, rules) or (
            Problem(path=".".join(path), message="is set twice.") if path in seen else None
        )
        seen.add(path)
        if problem:
            problems.append(problem.model_copy(update={"line": lines.get(path)}))
        else:
            accepted[path] = value
    # The kind first: another kind of group has other settings.
    for path in sorted(accepted, key=lambda path: path[-1] != KIND):
        _assign(merged, path, accepted[path])
    try:
        resolved = ExperimentConfig.model_validate_json(json.dumps(merged))
    except ValidationError as error:
        problems.extend(problems_of(error, ExperimentConfig, lines))
    if problems:
        raise InvalidInput(by_line(problems))
    return resolved


def differences(before: BaseModel, after: BaseModel) -> tuple[Change, ...]:
    """Settings that differ, in the order of the schema."""
    return changes_between(settings_of(before), settings_of(after))


def settings_of(config: BaseModel) -> dict[str, JsonValue]:
    """Every setting of a config by its dotted path, in the order of the schema."""
    settings = flatten(config.model_dump(mode="json"))
    return {".".join(path): value for path, value in settings}


def changes_between(
    old: Mapping[str, JsonValue], new: Mapping[str, JsonValue]
) -> tuple[Change, ...]:
    """What differs between two configs, each given by `settings_of`."""
    return tuple(
        Change(path=path, before=old.get(path), after=new.get(path))
        for path in dict.fromkeys((*old, *new))
        if old.get(path) != new.get(path) or (path in old) != (path in new)
    )


def _locate(path: Path, rules: TrackRules | None) -> Problem | None:
    """The problem with an override's path, or None if it is a setting."""
    dotted = ".".join(path)
    if whole := _list_around(path):
        message = f"is inside a list, which is set as a whole; set {'.'.join(whole)}."
        return Problem(path=dotted, message=message)
    field = find_field(path)
    if field is None:
        names = setting_names()
        leaf = [name for name in names if name.rsplit(".", 1)[-1] == path[-1]]
        near = nearest_name(dotted, leaf) or nearest_name(dotted, names) or next(iter(leaf), None)
        return Problem(path=dotted, message="there is no such setting.", nearest=near)
    if groups_of(field):
        inside = sorted(key for group in groups_of(field) for key in group.model_fields)
        return Problem(
            path=dotted,
            message=f"is a group of settings, not a setting; set one of {', '.join(inside)}.",
        )
    if rules is not None and not rules.is_open(dotted):
        message = f"is fixed by the track {rules.name}; open are {', '.join(rules.open_settings)}."
        return Problem(path=dotted, message=message)
    return None


def _list_around(path: Path) -> Path | None:
    """The path of the list that a setting's path leads into, or None."""
    for index in range(1, len(path)):
        field = find_field(path[:index])
        if field is not None and entry_groups_of(field):
            return path[:index]
    return None


def _assign(tree: dict[str, Any], path: Path, value: JsonValue) -> None:
    for key in path[:-1]:
        tree = tree[key]
    parent = find_field(path[:-1])
    if path[-1] == KIND and parent and len(groups_of(parent)) > 1 and tree[KIND] != value:
        tree.clear()
    tree[path[-1]] = value
