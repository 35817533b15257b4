"""The tables of `docs/settings.md`, made from the schema.

`python -m tests.settings_page` writes them anew; what stands above them is written by hand.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen, MultipleOf
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from core.schema.experiment import ExperimentConfig
from core.tracks import load_tracks

PAGE = Path(__file__).resolve().parent.parent / "docs" / "settings.md"
MARKER = "<!-- From here on made by `python -m tests.settings_page`. -->\n"
HEADER = "| setting | default | allowed | open on | what |\n|---|---|---|---|---|\n"
SIGNS = {Ge: "≤", Gt: "<", Le: "≤", Lt: "<"}
TRACKS = load_tracks()


def tables() -> str:
    """Every group of settings in the order of the schema, each with its table."""
    return "\n".join(_sections(ExperimentConfig, ""))


def page(tables: str) -> str:
    """The page as it is, with these tables."""
    by_hand, marker, _ = PAGE.read_text(encoding="utf-8").partition(MARKER)
    assert marker, f"{PAGE} must have the line {MARKER}"
    return f"{by_hand}{marker}\n{tables}"


def _sections(group: type[BaseModel], name: str, title: str = "") -> Iterator[str]:
    """A group's own table, then those of the groups in it and of the entries of its lists."""
    in_list = title.startswith("Entries")
    prefix = f"{name}." if name else ""
    rows = [
        _row(key if in_list else f"{prefix}{key}", field, _open_on(f"{prefix}{key}"))
        for key, field in group.model_fields.items()
        if not _groups(field.annotation) or _is_list(field)
    ]
    if rows:
        yield f"### {title or f'`{name}`'}\n\n{HEADER}{''.join(rows)}"
    for key, field in group.model_fields.items():
        inside = _groups(field.annotation)
        for inner in inside:
            path = f"{prefix}{key}"
            title = f"Entries of `{path}`" if _is_list(field) else ""
            if len(inside) > 1:
                (kind,) = get_args(inner.model_fields["kind"].annotation)
                title = f"`{path}` of kind `{kind}`"
            yield from _sections(inner, path, title)


def _row(name: str, field: FieldInfo, open_on: str) -> str:
    cells = (
        f"`{name}`",
        "" if field.is_required() else f"`{_shown(field.default)}`",
        _allowed(field),
        open_on,
        " ".join((field.description or "").split()),
    )
    escaped = (cell.replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |\n"


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _allowed(field: FieldInfo) -> str:
    """What a value may be; n stands for a whole number, x for any."""
    if not _is_list(field):
        return _values(field.annotation, field.metadata)
    least = next((bound.min_length for bound in field.metadata if isinstance(bound, MinLen)), 0)
    most = next((bound.max_length for bound in field.metadata if isinstance(bound, MaxLen)), None)
    length = f"{least} to {most}" if most else f"{least} or more"
    entry = get_args(field.annotation)[0]
    what = "entries as below" if _groups(entry) else _values(entry, [])
    return f"list of {length}: {what}"


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


def _open_on(name: str) -> str:
    opened = [f"`{track}`" for track in sorted(TRACKS) if TRACKS[track].rules.is_open(name)]
    closed = [f"`{track}`" for track in sorted(TRACKS) if not TRACKS[track].rules.is_open(name)]
    if not opened or not closed:
        return "all" if opened else "none"
    return ", ".join(opened) if len(opened) < len(closed) else f"all but {', '.join(closed)}"


def _is_list(field: FieldInfo) -> bool:
    return get_origin(field.annotation) is tuple


def _groups(annotation: object) -> list[type[BaseModel]]:
    """The groups of settings that stand in a place, or in a list's entries."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [group for argument in get_args(annotation) for group in _groups(argument)]


if __name__ == "__main__":
    PAGE.write_text(page(tables()), encoding="utf-8")
