"""Compressing the points that charts are drawn from."""

from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

SUFFIX = "/curves"
GZIP_LEVEL = 5


class CompressedCurves:
    """ASGI middleware: compresses curves, and passes everything else through.

    Pages of those who are signed in are left as they are: beside the secret of their forms they
    repeat what an address says, and the length of the two compressed together tells of the secret.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._compressed = GZipMiddleware(app, compresslevel=GZIP_LEVEL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        has_curves = scope["type"] == "http" and scope["path"].endswith(SUFFIX)
        await (self._compressed if has_curves else self._app)(scope, receive, send)
