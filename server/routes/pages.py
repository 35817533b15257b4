"""The pages for people."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from server.board.columns import BoardPageQuery
from server.comparison.query import CompareQuery
from server.dependencies import ReadSession, Settings, Tracks
from server.pages.compare import compare_page
from server.pages.home import home_page
from server.pages.page_heads import compare_head, home_head, submission_head, track_head
from server.pages.queue import queue_page
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
    page = track_page(session, find_served_track(track, tracks), query)
    return render("track.html", page, viewer, head=track_head(page, settings.base_url))


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
    session: ReadSession, tracks: Tracks, settings: Settings, viewer: PageViewer
) -> HTMLResponse:
    """The queue and the workers."""
    return render("queue.html", queue_page(session, tracks, settings, utc_now()), viewer)
