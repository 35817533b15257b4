"""What every page tells the frame around it."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Page:
    """The part of a page's context that `base.html` reads."""

    title: str
    """Text of the browser's tab, before the project's name."""
    section: Literal["tracks", "queue", "compare", "authors", "about", "submit", ""] = ""
    """Entry of the navigation that is marked as current."""
    is_live: bool = False
    """Whether the page should renew itself while it is looked at."""
    topics: tuple[str, ...] = ()
    """Changes that a page which renews itself waits for, as in `server.live.topics`."""
    json_url: str = ""
    """Address of the same content as JSON; empty if there is none."""


@dataclass(frozen=True, kw_only=True)
class Notice:
    """What came of the form that its reader sent."""

    text: str
    is_refusal: bool
    """Whether nothing was changed."""


@dataclass(frozen=True, kw_only=True)
class Viewer:
    """Who looks at a page, as `viewer` in every template."""

    sign_in_url: str = ""
    """Where to sign in and come back; empty where sign-in is off."""
    author: str = ""
    """Who is signed in; empty for nobody."""
    form_token: str = ""
    """What the forms of the page carry, see `server.sign_in.forgery`."""
    notice: Notice | None = None
    """What to show above the page."""


NOBODY = Viewer()
"""Whoever looks where sign-in is off."""
