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
    return [_problem(dict(detail), model, lines) for detail in error.errors(include_url=False)]


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
    """The schema's field at a path, or None."""
    groups: Groups = (model,)
    field: FieldInfo | None = None
    for key in path:
        field = next((g.model_fields[key] for g in groups if key in g.model_fields), None)
        if field is None:
            return None
        groups = _groups(field)
    return field


def _locate(path: Path, rules: TrackRules | None) -> Problem | None:
    """The problem with an override's path, or None if it is a setting."""
    dotted = ".".join(path)
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
    for part in map(str, loc):
        if len(groups) > 1 and (of_kind := tuple(g for g in groups if part in _kinds(g))):
            groups = of_kind
            continue
        path, holders = (*path, part), groups
        field = next((g.model_fields[part] for g in groups if part in g.model_fields), None)
        groups = _groups(field) if field else ()
    return path, holders


def _kinds(group: type[BaseModel]) -> tuple[Any, ...]:
    return get_args(group.model_fields[KIND].annotation) if KIND in group.model_fields else ()


def _problem(detail: dict[str, Any], model: type[BaseModel], lines: Lines) -> Problem:
    path, holders = _place(detail["loc"], model)
    field = find_field(path, model)
    given = _shown(detail["input"])
    if detail["type"] == "extra_forbidden":
        siblings = [key for group in holders for key in group.model_fields]
        message = f"there is no such key; allowed are {', '.join(siblings)}."
        return Problem(
            path=".".join(path),
            message=message,
            line=_line(lines, path),
            nearest=nearest_name(path[-1], siblings),
        )
    if detail["type"] == "missing":
        message = "is missing."
    elif detail["type"] == "string_pattern_mismatch":
        message = "it has not the form that is asked for."
    elif detail["type"] == "value_error":
        message = f"{detail['ctx']['error']}."
        given = ""
    else:
        message = f"{detail['msg'].replace('Input should be', 'must be')}."
    if given and detail["type"] != "missing":
        message = f"{given} is not allowed: {message}"
    if field is not None and field.description and field.annotation is not None:
        message += f" ({field.description.rstrip('.')})"
    return Problem(path=".".join(path), message=message, line=_line(lines, path))


def _line(lines: Lines, path: Path) -> int | None:
    """Line of a path, or of the first override below it."""
    if path in lines:
        return lines[path]
    return min((line for key, line in lines.items() if key[: len(path)] == path), default=None)


def _shown(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."
