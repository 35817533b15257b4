"""Refusing what another site made a signed-in person's browser send (CSRF)."""

import secrets
from urllib.parse import parse_qs, urlsplit

from fastapi import Request

from server.access.rate_limit import READING
from server.errors import ForgedRequest
from server.settings import ServerSettings
from server.sign_in.session import find_session

FIELD = "csrf_token"
HEADER = "X-CSRF-Token"
FORM = "application/x-www-form-urlencoded"


async def refuse_forgery(request: Request) -> None:
    """FastAPI dependency: a signed-in browser changes something only from a page of this server.

    Cookies come along with whatever a browser sends; access tokens do not, so requests with one,
    and those of nobody, pass.

    Raises:
        ForgedRequest: the request comes from another site, or without its session's form token.
    """
    if request.method in READING:
        return
    session = find_session(request)
    if session is None:
        return
    if not _is_from_here(request):
        raise ForgedRequest("this came from another site; nothing was changed.")
    sent = request.headers.get(HEADER) or (await read_form(request)).get(FIELD, "")
    if not secrets.compare_digest(sent.encode(), session.form_token.encode()):
        raise ForgedRequest(
            "this was not sent from a page of your present session; nothing was changed. "
            "Go back, load the page again, and send the form from there."
        )


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form that a browser sent; empty for any other body."""
    if not request.headers.get("Content-Type", "").startswith(FORM):
        return {}
    body = (await request.body()).decode(errors="replace")
    return {name: values[0] for name, values in parse_qs(body, keep_blank_values=True).items()}


def _is_from_here(request: Request) -> bool:
    """Whether a browser says that one of this server's own pages sent a request.

    Old browsers and programs say nothing; the form token stands against them.
    """
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        return False
    origin = request.headers.get("Origin")
    settings: ServerSettings = request.app.state.settings
    public = urlsplit(settings.base_url)
    here = {
        f"{public.scheme}://{public.netloc}",
        f"{request.url.scheme}://{request.headers.get('Host', '')}",
    }
    return origin is None or origin in here
