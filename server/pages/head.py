"""What the head of a page tells programs."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Alternate:
    """The same content, or news of it, in another form."""

    url: str
    media_type: str
    title: str
    """What a link to it says."""


@dataclass(frozen=True, kw_only=True)
class Head:
    """Beside the title, as `head` in every template."""

    alternates: tuple[Alternate, ...] = ()


PLAIN = Head()
"""That of pages with nothing to tell."""
