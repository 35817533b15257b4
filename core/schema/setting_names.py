"""The settings of a config by their dotted names: groups, kinds of a group, lists of groups."""

import difflib
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from core.schema.experiment import ExperimentConfig

Path = tuple[str, ...]
"""Keys from the outermost group to a setting."""
Groups = tuple[type[BaseModel], ...]

KIND = "kind"
"""Setting that says which of several groups stands in a place."""


def setting_names(model: type[BaseModel] = ExperimentConfig, prefix: str = "") -> tuple[str, ...]:
    """Dotted names of every setting of a config."""
    names: list[str] = []
    for key, field in model.model_fields.items():
        groups = groups_of(field)
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
        if field is not None and key.isdecimal() and entry_groups_of(field):
            groups = entry_groups_of(field)
            continue
        field = next((g.model_fields[key] for g in groups if key in g.model_fields), None)
        if field is None:
            return None
        groups = groups_of(field)
    return field


def groups_of(field: FieldInfo) -> Groups:
    """The config classes that a field may hold; empty for a setting."""
    return tuple(_config_classes(field.annotation))


def entry_groups_of(field: FieldInfo) -> Groups:
    """The config classes that the entries of a list may hold; empty for any other field."""
    if get_origin(field.annotation) is not tuple:
        return ()
    return tuple(group for entry in get_args(field.annotation) for group in _config_classes(entry))


def kinds_of(group: type[BaseModel]) -> tuple[Any, ...]:
    """Values of `kind` for which a group stands; none if it is not one of several."""
    return get_args(group.model_fields[KIND].annotation) if KIND in group.model_fields else ()


def nearest_name(name: str, names: Sequence[str]) -> str | None:
    """The valid name closest to a wrong one, if any is close."""
    matches = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return matches[0] if matches else None


def _config_classes(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) is Annotated:
        yield from _config_classes(get_args(annotation)[0])
    elif get_origin(annotation) is not None and get_origin(annotation) is not tuple:
        for argument in get_args(annotation):
            yield from _config_classes(argument)
