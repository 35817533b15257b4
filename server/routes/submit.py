"""Submitting with the browser; served only where sign-in is set up."""

import hashlib
import secrets

from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response

from core.errors import InvalidInput
from server.access.requirement import Submitter
from server.database import read_session
from server.dependencies import Changes, Database, Settings, Tracks
from server.live.topics import submission_topics
from server.pages.submit import outline, submit_page
from server.routes.forms import Fields, SignedIn
from server.sign_in.viewer import PageViewer
from server.submissions import accept
from server.templating import render

PAGE = "submit.html"

router = APIRouter(prefix="/submit", include_in_schema=False)


@router.get("")
def show_form(browser: SignedIn, tracks: Tracks, viewer: PageViewer) -> Response:
    """A form with the outline of a submission."""
    page = submit_page(tracks, outline(tracks, browser.author), secrets.token_urlsafe())
    return render(PAGE, page, viewer)


@router.post("")
def submit(
    _: SignedIn,
    fields: Fields,
    caller: Submitter,
    database: Database,
    tracks: Tracks,
    settings: Settings,
    viewer: PageViewer,
    changes: Changes,
) -> Response:
    """Queue a submission and lead to its page, or show the form again with what is wrong."""
    yaml, draft = fields.get("yaml", "").replace("\r\n", "\n"), fields.get("draft", "")
    # The same text from the same form is one submission; a corrected text is another.
    key = hashlib.sha256(f"{caller.name} {draft} {yaml}".encode()).hexdigest()
    base_url, quota = settings.base_url, settings.quota_gpu_minutes
    try:
        receipt, _is_new = accept(database, tracks, yaml.encode(), key, base_url, caller, quota)
    except InvalidInput as refused:
        page = submit_page(tracks, yaml, draft, refused.problems)
        return render(PAGE, page, viewer, 422)
    with read_session(database) as session:
        topics = submission_topics(session, receipt.submission_id)
    changes.tell(topics)
    return RedirectResponse(f"/submissions/{receipt.submission_id}", 303)
