"""Who looks at the pages: browsers of readers, and of one who is signed in."""

from typing import Literal

from playwright.sync_api import Browser, Page

from benchmarks.gallery.gallery_server import COOKIE, session_cookie

READER = "ada"
"""Who is signed in on pages that are for those who are."""


def new_page(
    browser: Browser,
    url: str,
    author: str = "",
    width: int = 1280,
    height: int = 800,
    scheme: Literal["light", "dark"] = "light",
) -> Page:
    """A page of a new context, which shows addresses of a server to whoever is signed in."""
    context = browser.new_context(
        base_url=url, viewport={"width": width, "height": height}, color_scheme=scheme
    )
    if author:
        context.add_cookies([{"name": COOKIE, "value": session_cookie(author), "url": url}])
    return context.new_page()
