"""Submitting, reading and cancelling."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from core.schema.job import RunStatus, SubmissionReceipt
from core.schema.submission import RerunReceipt, RerunRequest, WithdrawalRequest
from server import job_queue, submissions
from server.access.caller import require_author
from server.access.requirement import Submitter
from server.database import read_session, write_session
from server.dependencies import Changes, Database, ReadSession, Settings, Tracks
from server.error_answers import documented, guarded
from server.errors import NotYours
from server.live.topics import submission_topics
from server.runs import run_status
from server.submission_views import (
    SubmissionDetail,
    SubmissionList,
    list_submissions,
    submission_detail,
)
from server.tables import utc_now
from server.verdict.reruns import ask_for_rerun
from server.verdict.withdrawals import withdraw
from server.waiting.forecast import run_forecast

router = APIRouter(prefix="/submissions", tags=["submissions"])
MAX_PAGE = 200
MAX_OFFSET = 2**31


async def _body(request: Request) -> bytes:
    return await request.body()


@router.post(
    "",
    status_code=201,
    responses={
        **guarded(409, 413),
        200: {"model": SubmissionReceipt, "description": "Accepted before, under this key."},
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/yaml": {"schema": {"type": "string"}}},
        }
    },
)
def submit(
    text: Annotated[bytes, Depends(_body)],
    key: Annotated[str, Header(alias="Idempotency-Key", pattern=r"^[A-Za-z0-9_-]{8,80}$")],
    caller: Submitter,
    database: Database,
    tracks: Tracks,
    settings: Settings,
    changes: Changes,
    response: Response,
) -> SubmissionReceipt:
    """Queue a submission, written in YAML; the same key again queues nothing."""
    receipt, is_new = submissions.accept(
        database, tracks, text, key, settings.base_url, caller, settings.quota_gpu_minutes
    )
    response.status_code = 201 if is_new else 200
    # Not in the transaction that queues it, for which other writers wait.
    with read_session(database) as session:
        forecast = run_forecast(session, tracks, settings, receipt.run_id, utc_now())
        topics = submission_topics(session, receipt.submission_id)
    if is_new:
        changes.tell(topics)
    return receipt.model_copy(update={"forecast": forecast})


@router.get("", responses=documented())
def get_submissions(
    session: ReadSession,
    track: Annotated[str | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    offset: Annotated[int, Query(ge=0, le=MAX_OFFSET)] = 0,
) -> SubmissionList:
    """Submissions, the newest first."""
    return list_submissions(session, track, limit, offset)


@router.get("/{submission_id}", responses=documented(404))
def get_submission(
    submission_id: str, session: ReadSession, tracks: Tracks, settings: Settings
) -> SubmissionDetail:
    """A submission, what it resolved to, and where its run stands."""
    row = submissions.find_submission(session, submission_id)
    detail = submission_detail(session, row.id, tracks.get(row.track), settings.base_url)
    forecast = run_forecast(session, tracks, settings, row.run_id, utc_now())
    return detail.model_copy(update={"run": detail.run.model_copy(update={"forecast": forecast})})


@router.get(
    "/{submission_id}/yaml",
    response_class=Response,
    responses={**documented(404), 200: {"content": {"application/yaml": {}}}},
)
def get_yaml(submission_id: str, session: ReadSession) -> Response:
    """The YAML as it was sent."""
    row = submissions.find_submission(session, submission_id)
    return Response(row.yaml, media_type="application/yaml; charset=utf-8")


@router.post("/{submission_id}/withdraw", responses=guarded(404, 413))
def withdraw_submission(
    submission_id: str,
    request: WithdrawalRequest,
    caller: Submitter,
    database: Database,
    tracks: Tracks,
    settings: Settings,
    changes: Changes,
) -> RunStatus:
    """Take a submission back: it stays visible, with the reason, and no longer counts."""
    require_author(caller, request.author)
    with write_session(database) as session:
        row = withdraw(session, tracks, submission_id, request)
        topics = submission_topics(session, submission_id)
        status = run_status(session, row.run_id, settings.base_url)
    changes.tell(topics)
    return status


@router.post("/{submission_id}/rerun", status_code=201, responses=guarded(404, 409, 413))
def rerun_submission(
    submission_id: str,
    request: RerunRequest,
    caller: Submitter,
    database: Database,
    tracks: Tracks,
    settings: Settings,
    changes: Changes,
) -> RerunReceipt:
    """Queue as many further runs as the next verdict needs."""
    require_author(caller, request.author)
    with write_session(database) as session:
        quota = settings.quota_gpu_minutes
        receipt = ask_for_rerun(session, tracks, submission_id, request, quota)
        topics = submission_topics(session, submission_id)
    changes.tell(topics)
    return receipt


@router.post("/{submission_id}/cancel", responses=guarded(404, 409))
def cancel(
    submission_id: str,
    caller: Submitter,
    database: Database,
    settings: Settings,
    changes: Changes,
) -> RunStatus:
    """Cancel a queued run at once, or ask the worker of a running one to stop."""
    with write_session(database) as session:
        row = submissions.find_submission(session, submission_id)
        if not caller.speaks_for(row.author):
            raise NotYours(f"only {row.author!r} or an administrator may cancel {submission_id}.")
        job_queue.cancel(session, row.run_id)
        session.flush()
        topics = submission_topics(session, submission_id)
        status = run_status(session, row.run_id, settings.base_url)
    changes.tell(topics)
    return status
