"""Reads a server's pages from the first one on and writes them as a static site."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from posixpath import relpath
from urllib.parse import quote, urljoin, urlsplit

import httpx

from runner.api.client import SiteClient
from runner.errors import ServerFault
from runner.export.addresses import Address, read_address
from runner.export.feed import rewrite_feed
from runner.export.folder import ExportFolder
from runner.export.page_rewriter import PageRewriter

HOME = Address("/")
HTML = "text/html"
ATOM = "application/atom+xml"
FOREIGN_SCHEMES = frozenset({"http", "https", "mailto"})
"""Of links to elsewhere; without the server's policy, a page must not link a script."""
NO_PAGE = b"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Not exported</title>
<p>The server had no page here.</p></html>
"""


@dataclass(frozen=True)
class ExportSummary:
    """What an export came to."""

    num_pages: int
    num_files: int
    """Beside the pages."""
    num_bytes: int
    num_left_out: int
    """Pages that were found and not read, for want of room under the bound."""
    faults: tuple[str, ...]
    """What the server did not answer, each with its status."""


class SiteExport:
    """One export: what was found, what it is called, and what is still to be read."""

    def __init__(
        self,
        client: SiteClient,
        folder: ExportFolder,
        max_pages: int,
        public_url: str = "",
        on_page: Callable[[int], None] = lambda count: None,
    ) -> None:
        """Begin with nothing read.

        Args:
            public_url: where the site will stand, for those who read absolute addresses alone;
                empty if nobody knows.
            on_page: told how many pages were read, after each.
        """
        parts = urlsplit(client.server_url)
        self.origin = f"{parts.scheme}://{parts.netloc}"
        self.public_url = public_url.rstrip("/")
        self._client = client
        self._folder = folder
        self._max_pages = max_pages
        self._on_page = on_page
        moment = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        self._note = f"Exported {moment} from {client.server_url}"
        self._pages: dict[Address, PurePosixPath] = {}
        self._files: dict[Address, PurePosixPath | None] = {}
        self._queue: deque[Address] = deque()
        self._left_out: set[Address] = set()
        self._faults: list[str] = []

    def run(self) -> ExportSummary:
        """Read and write all there is.

        Raises:
            ServerUnreachable: the server stopped answering.
            ServerFault: something else answers at its address.
        """
        self.page(HOME)
        num_pages = 0
        while self._queue:
            address = self._queue.popleft()
            self._write_page(address)
            num_pages += 1
            self._on_page(num_pages)
        return ExportSummary(
            num_pages=num_pages,
            num_files=sum(path is not None for path in self._files.values()),
            num_bytes=self._folder.num_bytes,
            num_left_out=len(self._left_out),
            faults=tuple(self._faults),
        )

    def page(self, address: Address) -> PurePosixPath | None:
        """The file of a page, to be read in its turn; none if the export lacks it."""
        if address in self._pages:
            return self._pages[address]
        if not address.is_followed:
            return None
        if len(self._pages) >= self._max_pages:
            self._left_out.add(address)
            return None
        path = self._folder.reserve(address.page_path(), address.request)
        self._pages[address] = path
        self._queue.append(address)
        return path

    def file(self, address: Address) -> PurePosixPath | None:
        """The file of anything else, read at once; none if the server does not have it."""
        if address not in self._files:
            response = self.fetch(address)
            self._files[address] = None
            if response is not None:
                self._write_file(address, response)
        return self._files[address]

    def fetch(self, address: Address) -> httpx.Response | None:
        """A successful answer, or none, and the fault on the list."""
        response = self._client.fetch(address.request)
        if response.is_success:
            return response
        self._faults.append(f"{address.request} ({response.status_code})")
        return None

    def _write_page(self, address: Address) -> None:
        """Write a page; one of an error, too, since others link it."""
        response = self._client.fetch(address.request, accept=HTML)
        is_page = _media_type(response) == HTML
        if not (is_page and response.is_success):
            self._faults.append(f"{address.request} ({response.status_code})")
            if address == HOME:
                raise ServerFault(
                    f"{response.url} answered with status {response.status_code} and no page of "
                    "this project. Check that the address is the server's."
                )
        path = self._pages[address]
        links = _PageLinks(self, address, path)
        page = PageRewriter(links, self._note).rewrite(response.text) if is_page else ""
        self._folder.write(path, page.encode() or NO_PAGE)

    def _write_file(self, address: Address, response: httpx.Response) -> None:
        media_type = _media_type(response)
        path = self._folder.reserve(address.file_path(media_type), address.request)
        # Known before its links are followed, since a feed links itself.
        self._files[address] = path
        content = response.content
        if media_type == ATOM:
            content = rewrite_feed(content, _PageLinks(self, address, path).page)
        self._folder.write(path, content)


class _PageLinks:
    """Addresses as they stand in one page, and relative to its file."""

    def __init__(self, export: SiteExport, address: Address, path: PurePosixPath) -> None:
        self._export = export
        self._base = f"{export.origin}{address.request}"
        self._folder = path.parent
        self._public_url = export.public_url

    def page(self, url: str) -> str | None:
        """What a link becomes: relative inside the export, itself to another site."""
        if url.startswith("#"):
            return url
        address = self._read(url)
        if address is None:
            return url if urlsplit(url).scheme.lower() in FOREIGN_SCHEMES else None
        find = self._export.file if address.is_file else self._export.page
        href = self._relative(find(address))
        fragment = urlsplit(url).fragment
        return f"{href}#{fragment}" if href and fragment else href

    def file(self, url: str) -> str | None:
        """What the address of a file becomes."""
        address = self._read(url)
        return url if address is None else self._relative(self._export.file(address))

    def picture(self, url: str) -> str | None:
        """The same for an absolute address under the server's public one."""
        address = self._read(urlsplit(url).path)
        path = None if address is None else self._export.file(address)
        if path is None or not self._public_url:
            return self._relative(path)
        return f"{self._public_url}/{quote(str(path))}"

    def own(self) -> str | None:
        """The public address of the page."""
        if not self._public_url:
            return None
        folder = "" if self._folder == PurePosixPath() else f"{quote(str(self._folder))}/"
        return f"{self._public_url}/{folder}"

    def data(self, url: str) -> str | None:
        """The text at an address of the server."""
        address = self._read(url)
        response = self._export.fetch(address) if address is not None else None
        return None if response is None else response.text

    def _read(self, url: str) -> Address | None:
        return read_address(urljoin(self._base, url), self._export.origin)

    def _relative(self, path: PurePosixPath | None) -> str | None:
        return None if path is None else quote(relpath(path, self._folder))


def _media_type(response: httpx.Response) -> str:
    sent: str = response.headers.get("Content-Type", "")
    return sent.partition(";")[0].strip().lower()
