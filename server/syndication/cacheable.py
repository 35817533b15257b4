"""Answers that browsers and proxies keep for some minutes, and then ask about."""

import hashlib

from fastapi import Request
from fastapi.responses import Response


def cacheable(request: Request, content: bytes, media_type: str, max_age_seconds: int) -> Response:
    """The content, or 304 without it if the reader names the ETag that it still has."""
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"Cache-Control": f"public, max-age={max_age_seconds}", "ETag": tag}
    if names_tag(request.headers.get("If-None-Match", ""), tag):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=media_type, headers=headers)


def names_tag(if_none_match: str, tag: str) -> bool:
    """Whether a list of tags, weak or strong, has this one."""
    known = [one.strip().removeprefix("W/") for one in if_none_match.split(",")]
    return "*" in known or tag.removeprefix("W/") in known
