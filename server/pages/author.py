"""The pages of authors: all of them, and each."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from sqlmodel import Session

from core.schema.track import Track
from server.authors.author import AuthorView, view_author
from server.authors.listing import AuthorList, SortKey, list_authors
from server.pages.page import Page


@dataclass(frozen=True, kw_only=True)
class AuthorsPage(Page):
    """Context of `authors.html`."""

    found: AuthorList


@dataclass(frozen=True, kw_only=True)
class AuthorPage(Page):
    """Context of `author.html`."""

    author: AuthorView


def authors_page(session: Session, sort: SortKey = "better", page: int = 1) -> AuthorsPage:
    """A page of all authors.

    Raises:
        NotFound: there are not so many pages.
    """
    return AuthorsPage(
        title="Authors",
        section="authors",
        json_url=_json_url(sort, page),
        found=list_authors(session, sort, page),
    )


def author_page(
    session: Session, tracks: Mapping[str, Track], name: str, page: int = 1
) -> AuthorPage:
    """The page of an author.

    Raises:
        NotFound: nobody of that name has submitted anything, or not so many pages.
    """
    return AuthorPage(
        title=name,
        section="authors",
        json_url=f"/api/v1/authors/{name}?page={page}",
        author=view_author(session, tracks, name, page),
    )


def _json_url(sort: SortKey, page: int) -> str:
    """The address of the list as JSON, without what is as by default."""
    asked: dict[str, str] = {} if sort == "better" else {"sort": sort}
    if page > 1:
        asked["page"] = str(page)
    return f"/api/v1/authors?{urlencode(asked)}" if asked else "/api/v1/authors"
