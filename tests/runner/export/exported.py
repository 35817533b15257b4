"""What a reader finds in an exported folder."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class References(HTMLParser):
    """Every address that a page names."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        self.found += [values[name] or "" for name in ("href", "src", "action") if name in values]
        if values.get("property") in ("og:url", "og:image"):
            self.found.append(values["content"] or "")


def references(page: Path) -> References:
    parser = References()
    parser.feed(page.read_text())
    return parser


def broken(folder: Path, *servers: str) -> list[str]:
    """References that lead to a server or to no file of the folder, and forms for nobody."""
    faults = []
    for page in folder.rglob("*.html"):
        parser = references(page)
        faults += [f"{page}: a form" for tag in parser.tags if tag == "form"]
        for reference in parser.found:
            parts = urlsplit(reference)
            if parts.scheme == "https" and not reference.startswith(servers):
                continue
            target = page.parent / unquote(parts.path) if parts.path else page
            inside = target.resolve().is_relative_to(folder.resolve())
            if parts.scheme or parts.netloc or parts.query or not inside or not target.is_file():
                faults.append(f"{page}: {reference}")
    return faults
