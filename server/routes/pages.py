"""The pages for people."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from server.dependencies import ReadSession, Settings, Tracks
from server.pages.compare import compare_page
from server.pages.home import home_page
from server.pages.queue import queue_page
from server.pages.submission import submission_page
from server.pages.track import track_page
from server.served_tracks import find_served_track
from server.tables import utc_now
from server.templating import render

router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)


@router.get("/")
def show_home(session: ReadSession, tracks: Tracks) -> HTMLResponse:
    """Every track with the top of its board."""
    return render("home.html", home_page(session, tracks))


@router.get("/tracks/{track}")
def show_track(
    track: str, session: ReadSession, tracks: Tracks, key: str | None = None
) -> HTMLResponse:
    """A track's board."""
    return render("track.html", track_page(session, find_served_track(track, tracks), key))


@router.get("/submissions/{submission_id}")
def show_submission(
    submission_id: str, session: ReadSession, tracks: Tracks, settings: Settings
) -> HTMLResponse:
    """A submission."""
    page = submission_page(session, tracks, settings, submission_id, utc_now())
    return render("submission.html", page)


@router.get("/compare")
def show_comparison(session: ReadSession, tracks: Tracks, a: str = "", b: str = "") -> HTMLResponse:
    """Two submissions side by side."""
    return render("compare.html", compare_page(session, tracks, a.strip(), b.strip()))


@router.get("/queue")
def show_queue(session: ReadSession, tracks: Tracks, settings: Settings) -> HTMLResponse:
    """The queue and the workers."""
    return render("queue.html", queue_page(session, tracks, settings, utc_now()))
