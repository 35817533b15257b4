"""Authors as JSON."""

from fastapi import APIRouter

from server.authors.author import AuthorView, view_author
from server.authors.listing import AuthorList, SortKey, list_authors
from server.dependencies import PageNumber, ReadSession, Tracks
from server.error_answers import documented

router = APIRouter(prefix="/authors", tags=["authors"])


@router.get("", responses=documented(404))
def get_authors(session: ReadSession, sort: SortKey = "better", page: PageNumber = 1) -> AuthorList:
    """Fifty authors in numbers."""
    return list_authors(session, sort, page)


@router.get("/{name}", responses=documented(404))
def get_author(name: str, session: ReadSession, tracks: Tracks, page: PageNumber = 1) -> AuthorView:
    """An author: totals, rank on each track, records, and fifty submissions."""
    return view_author(session, tracks, name, page)
