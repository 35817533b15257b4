"""The files that pages need: compressed once, and kept by browsers for good.

Their addresses change when they do (`server.templating.static_url`), so that nobody asks again.
"""

import gzip
import os
from functools import cache
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from server.rendered.middleware import takes_gzip

KEPT = "public, max-age=31536000, immutable"
"""Of an address that names the content."""
ASKED_FOR = "public, max-age=300"
SUFFIXES = (".css", ".js", ".svg")
"""Of what gets smaller."""


class CompressedFiles(StaticFiles):
    """Static files, as `StaticFiles` finds them."""

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """A file, in the form that its reader takes, or that it has not changed."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        names_content = scope["query_string"].startswith(b"v=")
        response.headers["Cache-Control"] = KEPT if names_content else ASKED_FOR
        path = Path(full_path)
        if path.suffix not in SUFFIXES:
            return response
        response.headers["Vary"] = "Accept-Encoding"
        if not isinstance(response, FileResponse):
            return response
        accepted = Headers(scope=scope).get("accept-encoding", "")
        if not takes_gzip(accepted):
            return response
        headers = {
            name: value for name, value in response.headers.items() if name != "content-length"
        }
        headers |= {"etag": f"W/{headers['etag']}", "content-encoding": "gzip"}
        return Response(_compressed(path, stat_result.st_mtime), status_code, headers)


@cache
def _compressed(path: Path, _modified_at: float) -> bytes:
    return gzip.compress(path.read_bytes(), mtime=0)
