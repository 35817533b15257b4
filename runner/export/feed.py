"""A feed of the server as a file beside the pages it links."""

from collections.abc import Callable
from urllib.parse import urlsplit
from xml.etree import ElementTree

ATOM = "http://www.w3.org/2005/Atom"


def rewrite_feed(content: bytes, href_of: Callable[[str], str | None]) -> bytes:
    """The feed with links that are relative to it (RFC 4287, 4.2.7.1), its texts as they are.

    Args:
        content: Atom.
        href_of: what the path of a linked page becomes; the link is left out if it is none.
    """
    ElementTree.register_namespace("", ATOM)
    feed = ElementTree.fromstring(content)
    for parent in [feed, *feed.iter(f"{{{ATOM}}}entry")]:
        for link in parent.findall(f"{{{ATOM}}}link"):
            parts = urlsplit(link.get("href", ""))
            href = href_of(f"{parts.path}?{parts.query}" if parts.query else parts.path)
            if href is None:
                parent.remove(link)
            else:
                link.set("href", href)
    written: bytes = ElementTree.tostring(feed, encoding="utf-8", xml_declaration=True)
    return written
