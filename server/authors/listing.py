"""The list of authors, a page at a time."""

from typing import Literal

from sqlmodel import Session

from core.schema.base import Message
from server.authors.totals import AuthorTotals, author_totals
from server.errors import NotFound

PER_PAGE = 50

SortKey = Literal["name", "submissions", "measured", "better", "records", "cost", "latest"]
"""What the list may be sorted by."""


class AuthorList(Message):
    """A page of the authors."""

    sort: SortKey
    """What they are sorted by: names from A, all else from the most."""
    page: int
    """From 1."""
    has_next: bool
    """Whether more authors follow on the next page."""
    num_authors: int
    """Authors on all pages."""
    authors: tuple[AuthorTotals, ...]
    """Those of this page."""


def list_authors(session: Session, sort: SortKey = "better", page: int = 1) -> AuthorList:
    """A page of the authors.

    Raises:
        NotFound: there are not so many pages.
    """
    authors = sorted(author_totals(session).values(), key=lambda author: _place(author, sort))
    first = (page - 1) * PER_PAGE
    if page > 1 and first >= len(authors):
        raise NotFound(f"page {page} is past the end; there are {len(authors)} authors.")
    return AuthorList(
        sort=sort,
        page=page,
        has_next=first + PER_PAGE < len(authors),
        num_authors=len(authors),
        authors=tuple(authors[first : first + PER_PAGE]),
    )


def _place(author: AuthorTotals, sort: SortKey) -> tuple[float, str, str]:
    """What the list is sorted by; of equal ones, the first in the alphabet comes first."""
    most = {
        "name": 0.0,
        "submissions": author.num_submissions,
        "measured": author.num_measured,
        "better": author.num_better,
        "records": author.num_records,
        "cost": author.cost_usd or 0.0,
        "latest": author.latest_at.timestamp(),
    }
    return -most[sort], author.name.lower(), author.name
