"""What the head of a page tells programs."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue


@dataclass(frozen=True, kw_only=True)
class Alternate:
    """The same content, or news of it, in another form."""

    url: str
    media_type: str
    title: str
    """What a link to it says."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture of the size of a card."""

    url: str
    """Absolute."""
    text: str
    """The same for those who do not see it."""


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What other sites show beside a link to the page (Open Graph)."""

    title: str
    description: str
    url: str
    """Absolute."""
    picture: Picture | None = None


@dataclass(frozen=True, kw_only=True)
class Head:
    """Beside the title, as `head` in every template."""

    alternates: tuple[Alternate, ...] = ()
    preview: Preview | None = None
    linked_data: Mapping[str, JsonValue] | None = None
    """The content in the words of schema.org, as JSON-LD."""


PLAIN = Head()
"""That of pages with nothing to tell."""
