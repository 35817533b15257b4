"""Who is signed in with the browser that sends a request."""

import hashlib
from dataclasses import dataclass

from fastapi import Request
from itsdangerous import Signer

from server.sign_in.setup import SignIn


@dataclass(frozen=True)
class BrowserSession:
    """A signed-in browser."""

    author: str
    """Who signed in."""
    form_token: str
    """What the forms of this session's pages carry, and no other site can know."""


def find_session(request: Request) -> BrowserSession | None:
    """The session of a request; None without one, and where the request shows an access token.

    A request with a token is its holder's alone, even if the token is not valid.
    """
    sign_in: SignIn | None = request.app.state.sign_in
    if sign_in is None or "Authorization" in request.headers:
        return None
    author = sign_in.session.read(request)
    if author is None:
        return None
    signer = Signer(sign_in.key, salt="form", digest_method=hashlib.sha256)
    cookie = request.cookies[sign_in.session.name]
    return BrowserSession(author=author, form_token=signer.get_signature(cookie).decode())
