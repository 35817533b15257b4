"""Signing in with GitHub, and out; served only where sign-in is set up."""

import logging
import re
import secrets
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse
from sqlmodel import Session

from server.database import write
from server.dependencies import Database
from server.errors import SignInRefused
from server.sign_in.author_names import author_of
from server.sign_in.session import find_session
from server.sign_in.setup import CALLBACK, SignIn

HERE = re.compile(r"/(?![/\\])[^\s\\]{0,300}")
"""An address on this server: a second slash would name another."""

router = APIRouter(include_in_schema=False)
logger = logging.getLogger(__name__)


async def get_sign_in(request: Request) -> SignIn:
    """What sign-in needs."""
    sign_in: SignIn = request.app.state.sign_in
    return sign_in


WithSignIn = Annotated[SignIn, Depends(get_sign_in)]


@router.get("/sign-in")
async def begin(sign_in: WithSignIn, back: str = "/") -> RedirectResponse:
    """Send the browser to GitHub, with what it must bring back in a cookie.

    Args:
        back: address to come back to in the end.
    """
    attempt = {
        "state": secrets.token_urlsafe(),
        "verifier": secrets.token_urlsafe(48),
        "back": back if HERE.fullmatch(back) else "/",
    }
    url = await sign_in.github.sign_in_url(attempt["state"], attempt["verifier"])
    response = _redirect(url)
    sign_in.attempt.write(response, attempt)
    return response


@router.get(CALLBACK)
async def finish(
    request: Request,
    sign_in: WithSignIn,
    database: Database,
    code: str = "",
    state: str = "",
    error: str = "",
) -> RedirectResponse:
    """Sign in whoever comes back from GitHub with what this browser took there."""
    attempt = sign_in.attempt.read(request)
    if attempt is None or not secrets.compare_digest(attempt["state"].encode(), state.encode()):
        raise SignInRefused(
            "this sign-in did not begin in this browser, or more than ten minutes ago, or another "
            "one began after it. Sign in again, at the address at which this site is public."
        )
    if error or not code:
        reason = "you did not agree" if error == "access_denied" else "GitHub refused"
        raise SignInRefused(f"{reason}, so nobody was signed in. You can read everything without.")
    account = await sign_in.github.account_of(code, attempt["verifier"])

    def take_name(session: Session) -> str:
        return author_of(session, account.id, account.login)

    author = await run_in_threadpool(write, database, take_name)
    logger.info("signed in", extra={"author": author})
    response = _redirect(attempt["back"])
    sign_in.attempt.delete(response)
    sign_in.session.write(response, author)
    return response


@router.post("/sign-out")
async def sign_out(request: Request, sign_in: WithSignIn) -> RedirectResponse:
    """Have the browser forget its session; one that has none keeps its cookies.

    Another site's form comes without the session's cookie, and must not end it.
    """
    response = _redirect("/")
    if find_session(request) is not None:
        sign_in.session.delete(response)
    return response


def _redirect(url: str) -> RedirectResponse:
    return RedirectResponse(url, 303, {"Cache-Control": "no-store"})
