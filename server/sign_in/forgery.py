"""Refusing what another site made somebody's browser send (CSRF)."""

import secrets
from urllib.parse import parse_qs, urlsplit

from fastapi import Request
from fastapi.security.utils import get_authorization_scheme_param

from server.access.rate_limit import READING
from server.errors import ForgedRequest
from server.settings import ServerSettings
from server.sign_in.session import find_session

FIELD = "csrf_token"
HEADER = "X-CSRF-Token"
FORM = "application/x-www-form-urlencoded"


async def refuse_forgery(request: Request) -> None:
    """FastAPI dependency: a browser changes something only from a page of this server.

    Cookies, and the way to a server that only its own machine reaches, come along with whatever a
    browser sends; access tokens do not, so requests with one pass. So do programs without one:
    they say nothing of where they come from, and have no session.

    Raises:
        ForgedRequest: the request comes from another site, or without its session's form token.
    """
    if request.method in READING or _has_access_token(request):
        return
    if not _is_from_here(request):
        raise ForgedRequest("this came from another site; nothing was changed.")
    if find_session(request) is not None:
        await _compare_form_token(request)


async def require_form_token(request: Request) -> None:
    """FastAPI dependency of forms that nobody has to be signed in for: they come from a page here.

    Raises:
        ForgedRequest: the form lacks the token that was on the page.
    """
    if request.method not in READING:
        await _compare_form_token(request)


def form_token(request: Request) -> str:
    """What the forms of a page carry, and no other site can read: of the session, or else of all.

    Without a session nothing is at stake but what everybody may do who reaches this server: it is
    enough that the sender could read one of its pages since it was started.
    """
    session = find_session(request)
    if session is not None:
        return session.form_token
    token: str = request.app.state.page_token
    return token


async def _compare_form_token(request: Request) -> None:
    sent = request.headers.get(HEADER) or (await read_form(request)).get(FIELD, "")
    if not secrets.compare_digest(sent.encode(), form_token(request).encode()):
        raise ForgedRequest(
            "this was not sent from a page of your present session; nothing was changed. "
            "Go back, load the page again, and send the form from there."
        )


def _has_access_token(request: Request) -> bool:
    kind, _ = get_authorization_scheme_param(request.headers.get("Authorization"))
    return kind.lower() == "bearer"


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
