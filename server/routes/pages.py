"""The pages for people."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from server.authors.listing import SortKey
from server.board.columns import BoardPageQuery
from server.comparison.query import CompareQuery
from server.dependencies import PageNumber, ReadSession, Settings, Tracks
from server.pages.about import about_page
from server.pages.author import author_page, authors_page
from server.pages.compare import compare_page
from server.pages.home import home_page
from server.pages.page_heads import compare_head, home_head, submission_head, track_head
from server.pages.queue import queue_page
from server.pages.rules import rules_page
from server.pages.setting import setting_page, settings_page
from server.pages.submission import submission_page
from server.pages.track import track_page
from server.served_tracks import find_served_track
from server.sign_in.viewer import PageViewer
from server.tables import utc_now
from server.templating import render

router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)


@router.get("/")
def show_home(session: ReadSession, tracks: Tracks, viewer: PageViewer) -> HTMLResponse:
    """Every track with the top of its board."""
    return render("home.html", home_page(session, tracks), viewer, head=home_head())


@router.get("/tracks/{track}")
def show_track(
    track: str,
    session: ReadSession,
    tracks: Tracks,
    settings: Settings,
    viewer: PageViewer,
    query: Annotated[BoardPageQuery, Query()],
) -> HTMLResponse:
    """A page of a track's board."""
    page = track_page(session, find_served_track(track, tracks), utc_now(), query)
    return render("track.html", page, viewer, head=track_head(page, settings.base_url))


@router.get("/tracks/{track}/rules")
def show_rules(
    track: str, session: ReadSession, tracks: Tracks, viewer: PageViewer
) -> HTMLResponse:
    """A track's rules."""
    return render("rules.html", rules_page(session, find_served_track(track, tracks)), viewer)


@router.get("/tracks/{track}/settings")
def show_settings(
    track: str, session: ReadSession, tracks: Tracks, viewer: PageViewer, key: str | None = None
) -> HTMLResponse:
    """Every setting of a track."""
    page = settings_page(session, find_served_track(track, tracks), key)
    return render("settings.html", page, viewer)


@router.get("/tracks/{track}/settings/{path}")
def show_setting(
    track: str,
    path: str,
    session: ReadSession,
    tracks: Tracks,
    viewer: PageViewer,
    key: str | None = None,
    page: PageNumber = 1,
) -> HTMLResponse:
    """One setting, and what was tried of it."""
    found = setting_page(session, find_served_track(track, tracks), path, key, page)
    return render("setting.html", found, viewer)


@router.get("/submissions/{submission_id}")
def show_submission(
    submission_id: str,
    session: ReadSession,
    tracks: Tracks,
    settings: Settings,
    viewer: PageViewer,
) -> HTMLResponse:
    """A submission."""
    page = submission_page(session, tracks, settings, submission_id, utc_now())
    return render("submission.html", page, viewer, head=submission_head(page, settings.base_url))


@router.get("/about")
def show_about(session: ReadSession, tracks: Tracks, viewer: PageViewer) -> HTMLResponse:
    """How the numbers come about."""
    return render("about.html", about_page(session, tracks), viewer)


@router.get("/authors")
def show_authors(
    session: ReadSession, viewer: PageViewer, sort: SortKey = "better", page: PageNumber = 1
) -> HTMLResponse:
    """All authors."""
    return render("authors.html", authors_page(session, sort, page), viewer)


@router.get("/authors/{name}")
def show_author(
    name: str, session: ReadSession, tracks: Tracks, viewer: PageViewer, page: PageNumber = 1
) -> HTMLResponse:
    """An author."""
    return render("author.html", author_page(session, tracks, name, page), viewer)


@router.get("/compare")
def show_comparison(
    session: ReadSession,
    tracks: Tracks,
    settings: Settings,
    viewer: PageViewer,
    query: Annotated[CompareQuery, Query()],
) -> HTMLResponse:
    """Two to six submissions side by side."""
    page = compare_page(session, tracks, query.asked())
    return render("compare.html", page, viewer, head=compare_head(page, settings.base_url))


@router.get("/queue")
def show_queue(
    session: ReadSession,
    tracks: Tracks,
    settings: Settings,
    viewer: PageViewer,
    page: PageNumber = 1,
) -> HTMLResponse:
    """The queue and the workers."""
    return render("queue.html", queue_page(session, tracks, settings, utc_now(), page), viewer)
