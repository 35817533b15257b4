"""What every answer tells a browser not to do."""

from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.page_style import PAGE_STYLE_SOURCE

HEADERS: Mapping[str, str] = {
    # No script, style or image from anywhere else, and none inside a page but the one style.
    "Content-Security-Policy": "default-src 'self'; "
    f"style-src 'self' {PAGE_STYLE_SOURCE}; "
    "base-uri 'none'; frame-ancestors 'none'; "
    "form-action 'self'; object-src 'none'",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    # For browsers that do not know frame-ancestors.
    "X-Frame-Options": "DENY",
}
STRICT_TRANSPORT = "max-age=31536000"
"""A year of HTTPS alone."""


def security_headers(public_url: str) -> dict[str, str]:
    """The headers of every answer; where the public address is HTTPS, it stays so."""
    if public_url.startswith("https://"):
        return {**HEADERS, "Strict-Transport-Security": STRICT_TRANSPORT}
    return dict(HEADERS)


class SecurityHeaders:
    """ASGI middleware: adds headers to every answer from inside it."""

    def __init__(self, app: ASGIApp, headers: Mapping[str, str]) -> None:
        self._app = app
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer back with the headers."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        await self._app(scope, receive, send_with_headers)
