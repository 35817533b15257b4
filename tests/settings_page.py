"""The tables of `docs/settings.md`, made from the schema.

`python -m tests.settings_page` writes them anew; what stands above them is written by hand.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from core.schema.allowed_values import allowed_values, default_text, is_list
from core.schema.experiment import ExperimentConfig
from core.tracks import load_tracks

PAGE = Path(__file__).resolve().parent.parent / "docs" / "settings.md"
MARKER = "<!-- From here on made by `python -m tests.settings_page`. -->\n"
HEADER = "| setting | default | allowed | open on | what |\n|---|---|---|---|---|\n"
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
        if not _groups(field.annotation) or is_list(field)
    ]
    if rows:
        yield f"### {title or f'`{name}`'}\n\n{HEADER}{''.join(rows)}"
    for key, field in group.model_fields.items():
        inside = _groups(field.annotation)
        for inner in inside:
            path = f"{prefix}{key}"
            title = f"Entries of `{path}`" if is_list(field) else ""
            if len(inside) > 1:
                (kind,) = get_args(inner.model_fields["kind"].annotation)
                title = f"`{path}` of kind `{kind}`"
            yield from _sections(inner, path, title)


def _row(name: str, field: FieldInfo, open_on: str) -> str:
    cells = (
        f"`{name}`",
        f"`{default}`" if (default := default_text(field)) else "",
        allowed_values(field),
        open_on,
        " ".join((field.description or "").split()),
    )
    escaped = (cell.replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |\n"


def _open_on(name: str) -> str:
    opened = [f"`{track}`" for track in sorted(TRACKS) if TRACKS[track].rules.is_open(name)]
    closed = [f"`{track}`" for track in sorted(TRACKS) if not TRACKS[track].rules.is_open(name)]
    if not opened or not closed:
        return "all" if opened else "none"
    return ", ".join(opened) if len(opened) < len(closed) else f"all but {', '.join(closed)}"


def _groups(annotation: object) -> list[type[BaseModel]]:
    """The groups of settings that stand in a place, or in a list's entries."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [group for argument in get_args(annotation) for group in _groups(argument)]


if __name__ == "__main__":
    PAGE.write_text(page(tables()), encoding="utf-8")
