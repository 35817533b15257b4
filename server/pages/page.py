"""What every page tells the frame around it."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Page:
    """The part of a page's context that `base.html` reads."""

    title: str
    """Text of the browser's tab, before the project's name."""
    section: Literal["tracks", "queue", "compare", ""] = ""
    """Entry of the navigation that is marked as current."""
    is_live: bool = False
    """Whether the page should renew itself while it is looked at."""
    json_url: str = ""
    """Address of the same content as JSON; empty if there is none."""
