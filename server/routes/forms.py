"""What the forms on pages do, for those who are signed in; served only where sign-in is set up.

They call what the JSON routes call, and lead back to the page, which shows what came of it.
"""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse
from pydantic import ValidationError

from core.errors import InvalidInput
from core.schema.submission import RerunRequest, WithdrawalRequest
from server.database import write_session
from server.dependencies import Changes, Database, Settings, Tracks
from server.errors import NotFound, ServerError, SignInNeeded
from server.live.topics import submission_topics
from server.pages.page import Notice
from server.sign_in.forgery import read_form
from server.sign_in.notice import with_notice
from server.sign_in.session import BrowserSession, find_session
from server.verdict.reruns import ask_for_rerun
from server.verdict.withdrawals import withdraw

REASON = (
    "a withdrawal needs a reason of 1 to 500 characters, without control characters but line "
    "breaks and tabs; nothing was changed."
)

router = APIRouter(prefix="/submissions", include_in_schema=False)


async def require_session(request: Request) -> BrowserSession:
    """FastAPI dependency: who is signed in."""
    session = find_session(request)
    if session is None:
        raise SignInNeeded("you are not signed in, or no longer; sign in and try again.")
    return session


SignedIn = Annotated[BrowserSession, Depends(require_session)]
Fields = Annotated[dict[str, str], Depends(read_form)]


@router.post("/{submission_id}/rerun")
def rerun_submission(
    request: Request,
    submission_id: str,
    browser: SignedIn,
    database: Database,
    tracks: Tracks,
    settings: Settings,
    changes: Changes,
) -> RedirectResponse:
    """Queue as many further runs as the next verdict needs."""

    def act() -> str:
        with write_session(database) as session:
            asked = RerunRequest(author=browser.author)
            quota = settings.quota_gpu_minutes
            receipt = ask_for_rerun(session, tracks, submission_id, asked, quota)
            topics = submission_topics(session, submission_id)
        changes.tell(topics)
        count = len(receipt.run_ids)
        return (
            f"{count} run{'' if count == 1 else 's'} queued; "
            f"the next verdict is taken at {receipt.num_runs_then}."
        )

    return _done(request, browser, submission_id, act)


@router.post("/{submission_id}/withdraw")
def withdraw_submission(
    request: Request,
    submission_id: str,
    browser: SignedIn,
    fields: Fields,
    database: Database,
    tracks: Tracks,
    changes: Changes,
) -> RedirectResponse:
    """Take a submission back, with a reason."""
    # Browsers send line breaks of textareas as two characters.
    reason = fields.get("reason", "").replace("\r\n", "\n").strip()

    def act() -> str:
        asked = WithdrawalRequest(author=browser.author, reason=reason)
        with write_session(database) as session:
            withdraw(session, tracks, submission_id, asked)
            topics = submission_topics(session, submission_id)
        changes.tell(topics)
        return "withdrawn; it stays here with the reason, and no longer counts."

    return _done(request, browser, submission_id, act)


def _done(
    request: Request, browser: BrowserSession, submission_id: str, act: Callable[[], str]
) -> RedirectResponse:
    """Back to the submission's page, with what `act` says or why it was refused.

    Raises:
        NotFound: there is no such page to go back to.
    """
    try:
        text, is_refusal = act(), False
    except NotFound:
        raise
    except ValidationError:
        text, is_refusal = REASON, True
    except (ServerError, InvalidInput) as error:
        text, is_refusal = str(error), True
    notice = Notice(text=text[:1].upper() + text[1:], is_refusal=is_refusal)
    path = f"/submissions/{submission_id}"
    return RedirectResponse(with_notice(request, browser, path, notice), 303)
