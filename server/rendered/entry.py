"""A whole page as it goes out, made once and sent often."""

import gzip
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from server.live.hub import Changes

Headers = list[tuple[bytes, bytes]]

GZIP_LEVEL = 5
NOT_WITHOUT_BODY = frozenset({b"content-length", b"content-type", b"content-encoding"})
"""Headers that say something of a body, which a 304 has none of."""


@dataclass(frozen=True)
class RenderedPage:
    """A page that was rendered, its compressed form, and the headers of both."""

    body: bytes
    compressed: bytes
    tag: str
    """ETag; weak, as it is that of both forms."""
    rendered_at: float
    """When rendering began, by the cache's clock."""
    changes: Changes
    """What had changed until then."""
    common_headers: tuple[tuple[bytes, bytes], ...]

    @classmethod
    def of(
        cls, body: bytes, headers: Iterable[tuple[bytes, bytes]], changes: Changes, moment: float
    ) -> "RenderedPage":
        """Compress what a route answered.

        Args:
            headers: those of the answer.
            changes: how much had changed before the route was asked.
            moment: when that was.
        """
        tag = f'W/"{hashlib.sha256(body).hexdigest()[:32]}"'
        left_out = {b"content-length", b"vary"}
        vary = b", ".join([value for name, value in headers if name == b"vary"])
        vary = vary + b", Accept-Encoding" if vary else b"Accept-Encoding"
        kept = [(name, value) for name, value in headers if name not in left_out]
        kept += [(b"vary", vary), (b"etag", tag.encode())]
        return cls(
            body=body,
            compressed=gzip.compress(body, GZIP_LEVEL, mtime=0),
            tag=tag,
            rendered_at=moment,
            changes=changes,
            common_headers=tuple(kept),
        )

    @property
    def num_bytes(self) -> int:
        """Memory that it takes, about."""
        return len(self.body) + len(self.compressed)

    @cached_property
    def plain_headers(self) -> Headers:
        """Headers of the page as it is."""
        return [*self.common_headers, (b"content-length", str(len(self.body)).encode())]

    @cached_property
    def gzip_headers(self) -> Headers:
        """Headers of the page in its compressed form."""
        length = str(len(self.compressed)).encode()
        form = [(b"content-encoding", b"gzip"), (b"content-length", length)]
        return [*self.common_headers, *form]

    @cached_property
    def unchanged_headers(self) -> Headers:
        """Headers of the answer to a reader who has it."""
        return [pair for pair in self.common_headers if pair[0] not in NOT_WITHOUT_BODY]
