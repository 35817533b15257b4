"""What a setting may be, in a few words: for pages and documents."""

import json
from typing import Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen, MultipleOf
from pydantic.fields import FieldInfo

from core.schema.setting_names import entry_groups_of

SIGNS = {Ge: "≤", Gt: "<", Le: "≤", Lt: "<"}
NAMES = {bool: "true or false", int: "whole number", float: "number", str: "text"}


def type_name(field: FieldInfo) -> str:
    """What kind of value a setting has."""
    if is_list(field):
        return "list"
    if get_origin(field.annotation) is Literal:
        return "one of several"
    return next((name for kind, name in NAMES.items() if field.annotation is kind), "value")


def default_text(field: FieldInfo) -> str:
    """The default as JSON, a text without its quotes; empty if there is none."""
    if field.is_required():
        return ""
    return field.default if isinstance(field.default, str) else json.dumps(field.default)


def allowed_values(field: FieldInfo) -> str:
    """What a value may be; n stands for a whole number, x for any. Values are in backquotes."""
    if not is_list(field):
        return _values(field.annotation, field.metadata)
    least = next((bound.min_length for bound in field.metadata if isinstance(bound, MinLen)), 0)
    most = next((bound.max_length for bound in field.metadata if isinstance(bound, MaxLen)), None)
    length = f"{least} to {most}" if most else f"{least} or more"
    what = "entries as below" if entry_groups_of(field) else _values(_entry(field), [])
    return f"list of {length}: {what}"


def is_list(field: FieldInfo) -> bool:
    """Whether a setting is a list."""
    return get_origin(field.annotation) is tuple


def _entry(field: FieldInfo) -> object:
    return get_args(field.annotation)[0]


def _values(kind: object, bounds: list[object]) -> str:
    if kind is bool:
        return "`true`, `false`"
    if get_origin(kind) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(kind))
    if kind is str:
        return "text"
    low = high = multiple = ""
    for bound in bounds:
        match bound:
            case Ge(number) | Gt(number):
                low = f"{_number(number)} {SIGNS[type(bound)]} "
            case Le(number) | Lt(number):
                high = f" {SIGNS[type(bound)]} {_number(number)}"
            case MultipleOf(number):
                multiple = f", a multiple of {number}"
    return f"{low}{'n' if kind is int else 'x'}{high}{multiple}"


def _number(value: object) -> str:
    assert isinstance(value, int | float)
    return f"{int(value):,}" if value == int(value) else str(value)
