"""Sending rendered pages again to readers who are not signed in.

A page is fresh for a second at most, and only until the server itself changes a board. A reader
who says `no-cache`, as pages do that renew themselves, gets none that anything has changed since.
"""

import asyncio
import re
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.access.rate_limit import RateLimits, address_of
from server.errors import TooManyRequests
from server.live.hub import Changes
from server.rendered.cache import Key, PageCache
from server.rendered.entry import RenderedPage
from server.syndication.cacheable import names_tag

MAX_QUERY_BYTES = 2_000
NO_GZIP = re.compile(r"\bgzip\s*;\s*q=0(\.0*)?\s*(,|$)")


class RenderedPages:
    """ASGI middleware around everything else."""

    def __init__(
        self,
        app: ASGIApp,
        cache: PageCache,
        paths: Sequence[re.Pattern[str]],
        session_cookie: str,
        limits: RateLimits,
    ) -> None:
        """Keep pages.

        Args:
            paths: of what is kept.
            session_cookie: name of the cookie of those who are signed in; empty where nobody is.
            limits: count what no route sees.
        """
        self._app = app
        self._cache = cache
        self._paths = paths
        self._session_cookie = session_cookie
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what is kept, or pass a request on and keep its answer."""
        if not self._is_for_all(scope):
            await self._app(scope, receive, send)
            return
        key: Key = (scope["path"], scope["query_string"])
        headers = Headers(scope=scope)
        is_newest = "no-cache" in headers.get("cache-control", "")
        while (page := self._cache.find(key, is_newest=is_newest)) is None:
            if not self._cache.is_rendered_by_another(key):
                await self._render(key, scope, receive, send)
                return
            if not await self._cache.wait(key):
                # What came is not to be kept, so that each reader gets an answer of his own.
                await self._app(scope, receive, send)
                return
        if self._is_admitted(scope):
            await _send(page, headers, send)
        else:
            # Its route refuses it, too, and says why.
            await self._app(scope, receive, send)

    def _is_for_all(self, scope: Scope) -> bool:
        """Whether everybody would get the same answer."""
        if scope["type"] != "http" or scope["method"] != "GET":
            return False
        if not any(path.match(scope["path"]) for path in self._paths):
            return False
        headers = Headers(scope=scope)
        is_signed_in = self._session_cookie and self._session_cookie in headers.get("cookie", "")
        is_long = len(scope["query_string"]) > MAX_QUERY_BYTES
        return not (is_signed_in or is_long or "authorization" in headers)

    def _is_admitted(self, scope: Scope) -> bool:
        try:
            self._limits.take(address_of(HTTPConnection(scope)), "GET")
        except TooManyRequests:
            return False
        return True

    async def _render(self, key: Key, scope: Scope, receive: Receive, send: Send) -> None:
        """Have a page rendered, keep it if it is one for all, and send it."""
        changes, moment = self._cache.hub.changes, self._cache.clock()
        page = None
        self._cache.begin(key)
        try:
            answer = _Answer()
            await self._app(scope, receive, answer)
            if answer.is_for_all:
                page = await asyncio.to_thread(answer.page, changes, moment)
        finally:
            self._cache.end(key, page)
        if page is not None:
            await _send(page, Headers(scope=scope), send)
        else:
            for message in answer.messages:
                await send(message)


class _Answer:
    """Takes what an application sends."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def __call__(self, message: Message) -> None:
        self.messages.append(message)

    @property
    def is_for_all(self) -> bool:
        """Whether it is a whole page that gives its reader nothing of his own."""
        start = self.messages[0]
        names = {name for name, _ in start["headers"]}
        return bool(start["status"] == 200 and b"set-cookie" not in names)

    def page(self, changes: Changes, moment: float) -> RenderedPage:
        """The page that it is."""
        body = b"".join(message.get("body", b"") for message in self.messages[1:])
        return RenderedPage.of(body, self.messages[0]["headers"], changes, moment)


async def _send(page: RenderedPage, asked: Headers, send: Send) -> None:
    """Send a page, in the form that its reader takes, or that it has not changed."""
    if names_tag(asked.get("if-none-match", ""), page.tag):
        status, headers, body = 304, page.unchanged_headers, b""
    elif takes_gzip(asked.get("accept-encoding", "")):
        status, headers, body = 200, page.gzip_headers, page.compressed
    else:
        status, headers, body = 200, page.plain_headers, page.body
    # A copy: uvicorn reads the list, and what is around this may add to it.
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


def takes_gzip(accept_encoding: str) -> bool:
    """Whether an answer may be compressed, by what its reader accepts."""
    return "gzip" in accept_encoding and not NO_GZIP.search(accept_encoding)
