"""Refusing large requests before they fill memory."""

import re

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.schema.submission import MAX_SUBMISSION_BYTES
from server.error_answers import server_error
from server.errors import BodyTooLarge

CHECKPOINT = re.compile(r"/api/v1/jobs/[^/]+/checkpoint")
SUBMISSIONS = ("/api/v1/submissions", "/api/v1/check")
MAX_REPORT_BYTES = 1024 * 1024
MAX_DRAINED_BYTES = 32 * 1024 * 1024
"""A refused body is read up to here, so that a client which is still sending sees the answer."""


class BodyLimit:
    """ASGI middleware: 64 KiB for a submission or its check, 1 MiB for everything else.

    A checkpoint is too large to wait for; its route counts as it reads.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the whole body, then pass it on or answer 413.

        What a client that went away left behind is no request: half a submission may be a
        valid one that nobody meant.
        """
        if scope["type"] != "http" or _is_checkpoint(scope):
            await self._app(scope, receive, send)
            return
        limit = MAX_SUBMISSION_BYTES if scope["path"] in SUBMISSIONS else MAX_REPORT_BYTES
        try:
            body = await _read(receive, limit)
        except ClientDisconnect:
            return
        if body is None:
            message = f"the request is larger than the {limit:,} bytes allowed at {scope['path']}."
            response = await server_error(Request(scope), BodyTooLarge(message))
            await response(scope, receive, send)
            return
        await self._app(scope, _Replay(body, receive), send)


class _Replay:
    """Hands out a body that was read already, and then whatever follows it."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


def _is_checkpoint(scope: Scope) -> bool:
    return CHECKPOINT.fullmatch(scope["path"]) is not None and scope["method"] == "PUT"


async def _read(receive: Receive, limit: int) -> bytes | None:
    """The body; None if it is larger than `limit`.

    Raises:
        ClientDisconnect: the connection ended before the body did.
    """
    parts: list[bytes] = []
    size, more = 0, True
    while more and size <= MAX_DRAINED_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part = message.get("body", b"")
        size += len(part)
        if size <= limit:
            parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts) if size <= limit else None
