"""What a route asks of its caller: a token of one scope, unless the server is open.

Whoever is signed in with a browser is a caller with the scope `submit`.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.concurrency import run_in_threadpool
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param

from core.schema.access import Scope
from server.access.caller import ANYBODY, Caller
from server.access.tokens import find_caller
from server.dependencies import Database, Settings
from server.errors import ScopeNeeded, TokenNeeded
from server.settings import Access
from server.sign_in.session import find_session

SCHEME = HTTPBearer(
    bearerFormat="fdl_...",
    description="An access token. A server that is open asks for one only where tokens are made.",
    auto_error=False,
)

NONE_SENT = (
    "this needs an access token in the header `Authorization: Bearer fdl_...`; "
    "`runner` sends the one in FIVE_DOLLAR_TOKEN."
)
NOT_VALID = (
    "the access token that was sent (`runner` sends the one in FIVE_DOLLAR_TOKEN) is not valid: "
    "it has expired, was revoked, or is not of this server."
)


async def find_sender(request: Request, database: Database) -> Caller | None:
    """Who sent a request, by the token in its header or its browser's session; None without one.

    Only a token takes another thread: it is looked up in the database.
    """
    if session := find_session(request):
        return Caller(f"github:{session.author}", session.author, Scope.SUBMIT)
    secret = _secret_of(request)
    return await run_in_threadpool(find_caller, database, secret) if secret else None


def _secret_of(request: Request) -> str:
    """The token in a request's header; empty without one."""
    kind, secret = get_authorization_scheme_param(request.headers.get("Authorization"))
    return secret if kind.lower() == "bearer" else ""


def requires(scope: Scope) -> Callable[..., Awaitable[Caller]]:
    """A dependency that lets nobody pass without a token of a scope.

    An open server lets everybody pass, except to the tokens themselves: who made one then would
    keep it when the server asks for tokens later.
    """

    async def check(
        request: Request,
        sender: Annotated[Caller | None, Depends(find_sender)],
        settings: Settings,
        _: Annotated[HTTPAuthorizationCredentials | None, Security(SCHEME)],
    ) -> Caller:
        if settings.access is Access.OPEN and scope is not Scope.ADMIN:
            return ANYBODY
        if sender is None:
            what = NOT_VALID if _secret_of(request) else NONE_SENT
            raise TokenNeeded(
                f"{what} "
                "Ask whoever runs the server for one"
                + (", or sign in again with the browser." if settings.has_sign_in else ".")
            )
        if not sender.may(scope):
            raise ScopeNeeded(
                f"this needs a token with scope {scope}; the one that was sent has {sender.scope}."
            )
        return sender

    return check


Submitter = Annotated[Caller, Depends(requires(Scope.SUBMIT))]
Reporter = Annotated[Caller, Depends(requires(Scope.WORK))]
Administrator = Annotated[Caller, Depends(requires(Scope.ADMIN))]
