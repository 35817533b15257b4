"""Workers register and claim jobs."""

from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.responses import Response
from sqlmodel import Session

from core.schema.access import TrustRequest, WorkerTrust
from core.schema.base import Message
from core.schema.job import JobOffer, WorkerHello, WorkerRegistration
from core.schema.telemetry import WorkerPoll
from server import repeated_claims, workers
from server.access.requirement import Administrator, Reporter
from server.access.worker_tokens import bind, require_worker
from server.artifacts.checkpoints import with_checkpoint
from server.canary import schedule
from server.database import write, write_session
from server.dependencies import Changes, Database, ReadSession, Settings, Tracks
from server.error_answers import documented, guarded
from server.live.topics import QUEUE, offer_topics
from server.tables import Worker, utc_now
from server.trust.marks import mark_worker
from server.trust.standing import settle_standing
from server.workers import WorkerSummary

router = APIRouter(prefix="/workers", tags=["workers"])
ClaimKey = Annotated[str | None, Header(alias="Idempotency-Key", pattern=r"^[A-Za-z0-9_-]{16,80}$")]
"""A secret of the worker that it makes anew for each job."""
HEARTBEATS_PER_LEASE = 6
"""A lease survives five lost heartbeats."""


class WorkerList(Message):
    """All workers."""

    workers: tuple[WorkerSummary, ...]
    """The last seen first."""


@router.get("", responses=documented())
def list_workers(session: ReadSession, tracks: Tracks, settings: Settings) -> WorkerList:
    """All workers that ever registered, what each does, and how it is."""
    return WorkerList(workers=workers.list_workers(session, tracks, settings, utc_now()))


@router.post("", responses=guarded(409, 413))
def register(
    hello: WorkerHello,
    caller: Reporter,
    database: Database,
    settings: Settings,
    changes: Changes,
) -> WorkerRegistration:
    """Register a worker, or update the one of that name."""

    def store(session: Session) -> Worker:
        worker = workers.register(session, hello)
        bind(session, worker, caller)
        settle_standing(session, worker, settings.access)
        return worker

    worker = write(database, store)
    changes.tell([QUEUE])
    return WorkerRegistration(
        worker_id=worker.id,
        heartbeat_seconds=settings.lease_seconds / HEARTBEATS_PER_LEASE,
        checkpoint_bytes=settings.checkpoint_bytes,
    )


@router.post("/trust", responses=guarded(404, 409, 413))
def trust(
    request: TrustRequest,
    caller: Administrator,
    database: Database,
    tracks: Tracks,
    settings: Settings,
    changes: Changes,
) -> WorkerTrust:
    """Mark a worker as trusted or not, with all that it has measured; repeats change nothing."""
    with write_session(database) as session:
        trust = mark_worker(session, request, caller.name, tracks, settings)
    changes.tell_all()
    return trust


@router.post(
    "/{worker_id}/claim",
    response_model=JobOffer,
    responses={**guarded(404, 409), 204: {"description": "Nothing in the queue fits this worker."}},
)
def claim(
    worker_id: str,
    caller: Reporter,
    database: Database,
    tracks: Tracks,
    settings: Settings,
    changes: Changes,
    key: ClaimKey = None,
    poll: WorkerPoll | None = None,
) -> Response:
    """Lease the first queued job that fits the worker, or a canary that is due before it.

    The same key again gives the same lease, or 409 if it has ended. What the worker tells of its
    device is kept, twice a minute at most.
    """
    told = poll or WorkerPoll()
    token = repeated_claims.token_of(worker_id, key) if key else None
    with write_session(database) as session:
        require_worker(session, caller, worker_id)
        offer = None
        if token is not None:
            seconds = settings.lease_seconds
            offer = repeated_claims.earlier_offer(session, worker_id, token, tracks, seconds)
        if offer is None:
            num_devices = told.num_devices
            offer = schedule.claim(session, worker_id, tracks, settings, token, num_devices)
        has_news = workers.keep_telemetry(session, worker_id, told.telemetry)
        if offer is not None:
            offer = with_checkpoint(session, offer, worker_id)
    if offer is None:
        if has_news:
            changes.tell([QUEUE], of_boards=False)
        return Response(status_code=204)
    changes.tell(offer_topics(offer))
    # It was validated when it was made; FastAPI would do so again, and in another thread.
    return Response(offer.model_dump_json(), media_type="application/json")
