"""Rendering: one Jinja2 environment, strict about what is missing, and the pages' headers."""

import hashlib
from functools import cache
from pathlib import Path

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from server import formatting
from server.page_style import PAGE_STYLE
from server.pages.head import PLAIN, Head
from server.pages.page import NOBODY, Page, Viewer

HERE = Path(__file__).resolve().parent
STATIC = HERE / "static"

HEADERS = {"Cache-Control": "no-cache"}
"""Sent with every page, beside those of `server.security_headers`."""
PERSONAL_HEADERS = {"Cache-Control": "private, no-cache", "Vary": "Cookie"}
"""Sent instead where pages show who is signed in."""

FILTERS = {
    "loss": formatting.loss,
    "perplexity": formatting.perplexity,
    "percent": formatting.percent,
    "percent_points": formatting.percent_points,
    "integer": formatting.count,
    "gib": formatting.gib,
    "celsius": formatting.celsius,
    "usd": formatting.usd,
    "seconds": formatting.seconds,
    "ratio": formatting.ratio,
    "moment": formatting.moment,
    "from_now": formatting.from_now,
    "delta": formatting.delta,
    "direction": formatting.direction,
    "interval": formatting.interval,
    "setting": formatting.setting,
    "short_path": formatting.short_path,
    "words": formatting.words,
    "task_title": formatting.task_title,
    "figure": formatting.figure,
    "figure_delta": formatting.figure_delta,
    "p_value": formatting.p_value,
}


def render(
    template: str,
    page: Page,
    viewer: Viewer = NOBODY,
    status_code: int = 200,
    head: Head = PLAIN,
) -> HTMLResponse:
    """A page as a response.

    The template sees its context as `page`, for whom as `viewer`, and what it tells programs as
    `head`.
    """
    html = environment().get_template(template).render(page=page, viewer=viewer, head=head)
    return HTMLResponse(html, status_code, PERSONAL_HEADERS if viewer.sign_in_url else HEADERS)


@cache
def environment() -> Environment:
    """The environment of every template."""
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    environment.globals["static"] = static_url
    environment.globals["page_style"] = PAGE_STYLE
    return environment


@cache
def static_url(path: str) -> str:
    """Address of a file under `static/`, with a part that changes when the file does."""
    digest = hashlib.sha256((STATIC / path).read_bytes()).hexdigest()[:12]
    return f"/static/{path}?v={digest}"
