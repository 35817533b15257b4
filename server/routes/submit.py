"""Writing, checking and submitting with the browser."""

import hashlib
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import RedirectResponse, Response
from sqlalchemy import Engine
from sqlmodel import Session

from core.errors import InvalidInput
from core.schema.problem import Problem
from core.schema.track import Track
from server.access.caller import Caller
from server.database import read_session
from server.dependencies import Changes, Database, ReadSession, Settings, Tracks
from server.drafts.author_line import with_author
from server.drafts.check import DraftCheck, check_draft
from server.drafts.problems import draft_problems
from server.drafts.starts import Start, copied, outline
from server.errors import QuotaExceeded, SignInNeeded, TokenNeeded
from server.live.topics import submission_topics
from server.pages.page import Viewer
from server.pages.submit import FILE_NAME, Stage, SubmitPage, Way, submit_page
from server.routes.check import Asker
from server.routes.forms import Fields
from server.served_tracks import find_served_track
from server.settings import Access, ServerSettings
from server.sign_in.forgery import require_form_token
from server.sign_in.viewer import PageViewer
from server.submissions import accept, find_submission
from server.tables import SubmissionRow, utc_now
from server.templating import render

PAGE = "submit.html"

router = APIRouter(prefix="/submit", include_in_schema=False)


def find_start(
    session: ReadSession,
    tracks: Tracks,
    track: str | None = None,
    based_on: Annotated[str | None, Query(alias="from")] = None,
) -> Start:
    """FastAPI dependency: what the address says to start from.

    Raises:
        NotFound: there is no such track or submission.
        InvalidInput: it names both.
    """
    if based_on is None:
        return outline(find_served_track(track or min(tracks), tracks))
    if track is not None:
        message = f"{track!r} is not allowed beside from={based_on}, whose text names its track."
        raise InvalidInput([Problem(path="track", message=message)])
    return copied(find_submission(session, based_on))


@dataclass(frozen=True)
class Written:
    """What a form holds."""

    yaml: str
    author: str
    """Who submits it; empty if only the text may say."""
    draft: str
    """Tells the form from others."""


async def read_written(fields: Fields, viewer: PageViewer) -> Written:
    """FastAPI dependency: the form that a browser sent."""
    return Written(
        # Browsers send line breaks as two characters.
        yaml=fields.get("yaml", "").replace("\r\n", "\n"),
        author=viewer.author or fields.get("author", "").strip(),
        draft=fields.get("draft", ""),
    )


@router.get("")
def show_form(
    start: Annotated[Start, Depends(find_start)],
    session: ReadSession,
    tracks: Tracks,
    settings: Settings,
    viewer: PageViewer,
    asker: Asker,
) -> Response:
    """A form with the outline of a submission, or with the text of another one."""
    text = with_author(start.yaml, viewer.author)
    written = Written(text, viewer.author, secrets.token_urlsafe())
    check = _check(session, tracks, settings, written, asker)
    page = _page(tracks, settings, viewer, written, check, Stage.BEGUN, start.based_on)
    return render(PAGE, page, viewer)


@router.post("", dependencies=[Depends(require_form_token)])
def take_form(
    fields: Fields,
    written: Annotated[Written, Depends(read_written)],
    database: Database,
    tracks: Tracks,
    settings: Settings,
    viewer: PageViewer,
    asker: Asker,
    changes: Changes,
) -> Response:
    """Check what was written, hand it back as a file, or queue it and lead to its page."""
    what = fields.get("do", "check")
    if what == "download":
        return _file(written)
    stage = Stage.CHECKED
    refusals: tuple[Problem, ...] = ()
    if what == "submit":
        caller = _submitter(settings, viewer, asker)
        try:
            submission_id = _submit(database, tracks, settings, written, caller)
        except (InvalidInput, QuotaExceeded) as refused:
            stage, refusals = Stage.REFUSED, refused.problems
        else:
            with read_session(database) as session:
                topics = submission_topics(session, submission_id)
            changes.tell(topics)
            return RedirectResponse(f"/submissions/{submission_id}", 303)
    with read_session(database) as session:
        check = _check(session, tracks, settings, written, asker)
    if refusals and check.is_valid:
        # Somebody else's submission came between both.
        problems = draft_problems(refusals, {}, tracks)
        check = check.model_copy(update={"is_valid": False, "problems": problems})
    page = _page(tracks, settings, viewer, written, check, stage)
    return render(PAGE, page, viewer, 422 if stage is Stage.REFUSED else 200)


def _submit(
    database: Engine,
    tracks: Mapping[str, Track],
    settings: ServerSettings,
    written: Written,
    caller: Caller,
) -> str:
    """Queue what was written; the submission's id."""
    text = with_author(written.yaml, written.author)
    # The same text from the same form is one submission; a corrected text is another.
    key = hashlib.sha256(f"{caller.name} {written.draft} {text}".encode()).hexdigest()
    base_url, quota = settings.base_url, settings.quota_gpu_minutes
    receipt, _is_new = accept(database, tracks, text.encode(), key, base_url, caller, quota)
    return receipt.submission_id


def _submitter(settings: ServerSettings, viewer: Viewer, asker: Caller | None) -> Caller:
    """Who submits with the form.

    Raises:
        SignInNeeded: nobody is signed in.
        TokenNeeded: the server takes submissions with a token alone, which no form has.
    """
    if asker is not None and _way(settings, viewer) is Way.FORM:
        return asker
    if settings.has_sign_in:
        raise SignInNeeded("you are not signed in, or no longer; sign in and send the form again.")
    raise TokenNeeded(
        "this server takes submissions with an access token alone; download the YAML, and send it "
        "with `runner submit`."
    )


def _way(settings: ServerSettings, viewer: Viewer) -> Way:
    if settings.access is Access.OPEN or viewer.author:
        return Way.FORM
    return Way.SIGN_IN if settings.has_sign_in else Way.COMMAND


def _check(
    session: Session,
    tracks: Mapping[str, Track],
    settings: ServerSettings,
    written: Written,
    asker: Caller | None,
) -> DraftCheck:
    text, now = written.yaml.encode(), utc_now()
    return check_draft(session, tracks, settings, text, written.author, asker, now)


def _page(
    tracks: Mapping[str, Track],
    settings: ServerSettings,
    viewer: Viewer,
    written: Written,
    check: DraftCheck,
    stage: Stage,
    based_on: SubmissionRow | None = None,
) -> SubmitPage:
    return submit_page(
        tracks,
        check,
        yaml=written.yaml,
        author=written.author,
        draft=written.draft,
        way=_way(settings, viewer),
        server_url=settings.base_url,
        stage=stage,
        based_on=based_on,
    )


def _file(written: Written) -> Response:
    """What was written, for `runner submit`."""
    headers = {
        "Content-Disposition": f'attachment; filename="{FILE_NAME}"',
        "Cache-Control": "no-store",
    }
    text = written.yaml
    # Of two authors the file keeps the one that it has.
    with suppress(InvalidInput):
        text = with_author(text, written.author)
    return Response(text, media_type="application/yaml; charset=utf-8", headers=headers)
