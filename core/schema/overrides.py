"""Resolving a diff, the typed difference of two configs, canonical form and hash."""

import difflib
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, JsonValue, ValidationError
from pydantic.fields import FieldInfo

from core.errors import InvalidInput
from core.schema.base import Message
from core.schema.experiment import ExperimentConfig
from core.schema.problem import Problem
from core.schema.track import TrackRules

Path = tuple[str, ...]
Lines = Mapping[Path, int]
Groups = tuple[type[BaseModel], ...]

KIND = "kind"
"""Setting that says which of several groups stands in a place."""


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
    old = dict(flatten(before.model_dump(mode="json")))
    new = dict(flatten(after.model_dump(mode="json")))
    return tuple(
        Change(path=".".join(path), before=old.get(path), after=new.get(path))
        for path in dict.fromkeys((*old, *new))
        if old.get(path) != new.get(path) or (path in old) != (path in new)
    )


def canonical_json(config: BaseModel) -> str:
    """The one spelling of a config: settings at their default left out, keys sorted."""
    return json.dumps(
        config.model_dump(mode="json", exclude_defaults=True),
        sort_keys=True,
        separators=(",", ":"),
        allow_nan=False,
    )


def experiment_hash(track: str, version: int, experiment: ExperimentConfig) -> str:
    """Identity of an experiment on a track version: 64 hexadecimal digits of SHA-256."""
    identity = f"{track}@{version}:{canonical_json(experiment)}"
    return hashlib.sha256(identity.encode()).hexdigest()


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


def nearest_name(name: str, names: Sequence[str]) -> str | None:
    """The valid name closest to a wrong one, if any is close."""
    matches = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return matches[0] if matches else None


def setting_names(model: type[BaseModel] = ExperimentConfig, prefix: str = "") -> tuple[str, ...]:
    """Dotted names of every setting of a config."""
    names: list[str] = []
    for key, field in model.model_fields.items():
        groups = _groups(field)
        if groups:
            for group in groups:
                names.extend(setting_names(group, f"{prefix}{key}."))
        else:
            names.append(f"{prefix}{key}")
    return tuple(dict.fromkeys(names))


def find_field(path: Path, model: type[BaseModel] = ExperimentConfig) -> FieldInfo | None:
    """The schema's field at a path, or None; a list's entries are numbered from 0."""
    groups: Groups = (model,)
    field: FieldInfo | None = None
    for key in path:
        if field is not None and key.isdecimal() and _entry_groups(field):
            groups = _entry_groups(field)
            continue
        field = next((g.model_fields[key] for g in groups if key in g.model_fields), None)
        if field is None:
            return None
        groups = _groups(field)
    return field


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
    if _groups(field):
        inside = sorted(key for group in _groups(field) for key in group.model_fields)
        return Problem(
            path=dotted,
            message=f"is a group of settings, not a setting; set one of {', '.join(inside)}.",
        )
    if rules is not None and not rules.is_open(dotted):
        message = f"is fixed by the track {rules.name}; open are {', '.join(rules.open_settings)}."
        return Problem(path=dotted, message=message)
    return None


def _groups(field: FieldInfo) -> Groups:
    """The config classes that a field may hold; empty for a setting."""
    return tuple(_config_classes(field.annotation))


def _entry_groups(field: FieldInfo) -> Groups:
    """The config classes that the entries of a list may hold; empty for any other field."""
    if get_origin(field.annotation) is not tuple:
        return ()
    return tuple(group for entry in get_args(field.annotation) for group in _config_classes(entry))


def _list_around(path: Path) -> Path | None:
    """The path of the list that a setting's path leads into, or None."""
    for index in range(1, len(path)):
        field = find_field(path[:index])
        if field is not None and _entry_groups(field):
            return path[:index]
    return None


def _config_classes(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) is Annotated:
        yield from _config_classes(get_args(annotation)[0])
    elif get_origin(annotation) is not None and get_origin(annotation) is not tuple:
        for argument in get_args(annotation):
            yield from _config_classes(argument)


def _assign(tree: dict[str, Any], path: Path, value: JsonValue) -> None:
    for key in path[:-1]:
        tree = tree[key]
    parent = find_field(path[:-1])
    if path[-1] == KIND and parent and len(_groups(parent)) > 1 and tree[KIND] != value:
        tree.clear()
    tree[path[-1]] = value


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
        if len(groups) > 1 and (of_kind := tuple(g for g in groups if part in _kinds(g))):
            groups = of_kind
            continue
        path, holders = (*path, part), groups
        field = next((g.model_fields[part] for g in groups if part in g.model_fields), None)
        groups = _groups(field) if field else ()
        entries = _entry_groups(field) if field else ()
    return path, holders


def _kinds(group: type[BaseModel]) -> tuple[Any, ...]:
    return get_args(group.model_fields[KIND].annotation) if KIND in group.model_fields else ()


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
    if field is not None and field.description and not _groups(field):
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
