"""Which pages search engines should know, by the protocol of sitemaps.org."""

import math
from collections.abc import Collection, Iterable
from xml.etree.ElementTree import Element

from sqlmodel import Session, col, func, select

from server.errors import NotFound
from server.syndication.xml_document import add, document_bytes, new_document
from server.tables import SubmissionRow

NAMESPACE = "http://www.sitemaps.org/schemas/sitemap/0.9"
MAX_ADDRESSES = 50_000
"""Of one sitemap, by the protocol."""


def sitemap_index(session: Session, tracks: Collection[str], base_url: str) -> bytes:
    """The sitemap of tracks, and as many of submissions as it takes."""
    numbers = range(1, _num_sitemaps(session, tracks) + 1)
    names = ["tracks", *(f"submissions-{number}" for number in numbers)]
    index = new_document("sitemapindex", NAMESPACE)
    for name in names:
        _add_address(add(index, "sitemap"), f"{base_url}/sitemaps/{name}.xml")
    return document_bytes(index)


def tracks_sitemap(tracks: Iterable[str], base_url: str) -> bytes:
    """The front page and every board."""
    return _sitemap([f"{base_url}/", *(f"{base_url}/tracks/{track}" for track in tracks)])


def submissions_sitemap(
    session: Session, tracks: Collection[str], base_url: str, number: int
) -> bytes:
    """The submissions of served tracks, 50,000 in each sitemap, in the order of their ids.

    Args:
        number: from 1.

    Raises:
        NotFound: there are not as many.
    """
    num_sitemaps = _num_sitemaps(session, tracks)
    if not 1 <= number <= num_sitemaps:
        raise NotFound(f"there is no sitemap {number} of submissions; there are {num_sitemaps}.")
    query = select(SubmissionRow.id).where(col(SubmissionRow.track).in_(tracks))
    query = query.order_by(col(SubmissionRow.id)).limit(MAX_ADDRESSES)
    ids = session.exec(query.offset((number - 1) * MAX_ADDRESSES))
    return _sitemap(f"{base_url}/submissions/{identity}" for identity in ids)


def _num_sitemaps(session: Session, tracks: Collection[str]) -> int:
    query = select(func.count()).select_from(SubmissionRow)
    count = session.exec(query.where(col(SubmissionRow.track).in_(tracks))).one()
    return math.ceil(count / MAX_ADDRESSES)


def _sitemap(addresses: Iterable[str]) -> bytes:
    pages = new_document("urlset", NAMESPACE)
    for address in addresses:
        _add_address(add(pages, "url"), address)
    return document_bytes(pages)


def _add_address(parent: Element, address: str) -> None:
    add(parent, "loc", address)
