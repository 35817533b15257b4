"""Which addresses of a server an export follows, and what the files are called that it makes."""

import hashlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

PAGE_QUERY = ("key", "page")
"""What of a query names a page of its own; everything else sorts and filters."""
NOT_FOLLOWED = ("/compare", "/submit", "/sign-in", "/sign-out")
"""Pages that answer a reader's own question."""
STATIC = "/static/"
API = "/api/"
SUFFIXES = {
    "application/atom+xml": ".atom",
    "application/json": ".json",
    "application/vnd.apache.parquet": ".parquet",
    "application/xml": ".xml",
    "application/yaml": ".yaml",
    "image/png": ".png",
    "image/svg+xml": ".svg",
    "text/csv": ".csv",
    "text/plain": ".txt",
}
"""How a file of each media type ends, so that any web server tells its type."""
RESERVED = frozenset('<>:"/\\|?*%#')
"""Characters that a file system forbids, or that mean something else in an address."""
MAX_NAME_BYTES = 100


@dataclass(frozen=True)
class Address:
    """A page or a file of the server."""

    path: str
    """As it stands in a request."""
    query: tuple[tuple[str, str], ...] = ()

    @property
    def request(self) -> str:
        """What to ask the server for."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path

    @property
    def is_file(self) -> bool:
        """Whether it is anything but a page."""
        known = PurePosixPath(self.path).suffix in SUFFIXES.values()
        return known or self.path.startswith((API, STATIC))

    @property
    def is_followed(self) -> bool:
        """Whether a page of this address belongs to an export."""
        own = any(self.path == base or self.path.startswith(f"{base}/") for base in NOT_FOLLOWED)
        return not own and all(name in PAGE_QUERY for name, _ in self.query)

    def page_path(self) -> PurePosixPath:
        """The file that the page becomes."""
        queried = (_file_name(f"{name}-{value}") for name, value in self.query)
        return PurePosixPath(*self._folders(), *queried, "index.html")

    def file_path(self, media_type: str) -> PurePosixPath:
        """The file that this becomes, with an ending that tells its type."""
        *folders, name = self._folders()
        stem, suffix = PurePosixPath(name).stem, PurePosixPath(name).suffix
        known = SUFFIXES.get(media_type, suffix)
        if not self.path.startswith(STATIC) and suffix != known:
            stem, suffix = name, known
        queried = "".join(f"-{name}-{value}" for name, value in self.query)
        return PurePosixPath(*folders, _file_name(f"{stem}{queried}{suffix}"))

    def _folders(self) -> list[str]:
        return [_file_name(unquote(part)) for part in self.path.split("/") if part]


def read_address(url: str, origin: str) -> Address | None:
    """An address of the server with its query in one order; none if it is another site's.

    Args:
        url: absolute.
        origin: scheme, host and port of the server.
    """
    parts = urlsplit(url)
    if f"{parts.scheme}://{parts.netloc}" != origin:
        return None
    path = parts.path or "/"
    if path.startswith(STATIC):
        return Address(path)
    query = parse_qsl(parts.query, keep_blank_values=True)
    return Address(path, tuple(sorted(pair for pair in query if pair != ("page", "1"))))


def _file_name(text: str) -> str:
    """A text as the name of a file or folder on any system."""
    is_name = (
        text == text.strip(". ")
        and text.isprintable()
        and not RESERVED.intersection(text)
        and 0 < len(text.encode()) <= MAX_NAME_BYTES
    )
    return text if is_name else hashlib.sha256(text.encode()).hexdigest()[:16]
