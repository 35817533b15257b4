"""What a setting is: its meaning, its bounds and where it comes from, as the schema has them."""

import re
from collections.abc import Iterator
from functools import cache

from core.schema.allowed_values import allowed_values, default_text, type_name
from core.schema.base import Message
from core.schema.experiment import ExperimentConfig
from core.schema.setting_names import find_field, groups_of, nearest_name, setting_names
from server.errors import NotFound

ARXIV = re.compile(r"arXiv:(\d{4}\.\d{5})")
SITE = re.compile(r"\b(?:[a-z0-9-]+\.)+[a-z]{2,}/[\w./-]+\w")


class Source(Message):
    """Where an idea was published."""

    name: str
    """As the schema names it."""
    url: str
    """Its address."""


class SettingFacts(Message):
    """A setting as the schema describes it."""

    path: str
    """Dotted path."""
    group: str
    """Dotted path of the group that it belongs to."""
    what: str
    """What it does."""
    type: str
    """Kind of value, in words."""
    allowed: str
    """What a value may be: n stands for a whole number, x for any; values are in backquotes."""
    default: str
    """Value where a track names none; empty if every track must name one."""
    sources: tuple[Source, ...]
    """Papers and pages that its description names, or that of its group."""


@cache
def setting_facts(path: str) -> SettingFacts:
    """The facts of a setting.

    Raises:
        NotFound: there is no such setting; the message names the nearest.
    """
    names = setting_names()
    keys = tuple(path.split("."))
    field = find_field(keys) if path in names else None
    if field is None:
        near = nearest_name(path, names)
        hint = f"; did you mean {near}?" if near else "."
        raise NotFound(f"there is no setting {path!r}{hint}")
    what = " ".join((field.description or "").split())
    return SettingFacts(
        path=path,
        group=".".join(keys[:-1]),
        what=what,
        type=type_name(field),
        allowed=allowed_values(field),
        default=default_text(field),
        sources=tuple(_sources(what)) or tuple(_sources(_about_group(keys))),
    )


def _about_group(keys: tuple[str, ...]) -> str:
    """What the schema says of the groups that may hold a setting."""
    parent = find_field(keys[:-1])
    groups = groups_of(parent) if parent is not None else (ExperimentConfig,)
    return " ".join(group.__doc__ or "" for group in groups if keys[-1] in group.model_fields)


def _sources(text: str) -> Iterator[Source]:
    for number in dict.fromkeys(ARXIV.findall(text)):
        yield Source(name=f"arXiv:{number}", url=f"https://arxiv.org/abs/{number}")
    for address in dict.fromkeys(SITE.findall(text)):
        yield Source(name=address, url=f"https://{address}")
