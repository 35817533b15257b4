"""What workers report of their jobs, and the queue."""

from fastapi import APIRouter
from sqlalchemy import Engine

from core.schema.job import (
    FailureReport,
    Heartbeat,
    HeartbeatReply,
    LeaseReturn,
    LogChunk,
    MetricBatch,
    ResultReport,
)
from server import lease, reports, results
from server.access.requirement import Reporter
from server.access.worker_tokens import require_lease_holder
from server.database import write_session
from server.dependencies import (
    Changes,
    Database,
    PageNumber,
    ReadSession,
    Settings,
    Settlement,
    Tracks,
)
from server.error_answers import documented, guarded
from server.live.topics import QUEUE, job_topics, run_topic, track_topic
from server.queue_listing import Queue, list_queue
from server.quota.shares import refresh_payer
from server.tables import Job, utc_now

router = APIRouter(tags=["jobs"])
REPORT_ERRORS = guarded(404, 409, 413)


@router.get("/queue", responses=documented())
def get_queue(
    session: ReadSession, tracks: Tracks, settings: Settings, page: PageNumber = 1
) -> Queue:
    """Jobs that run and fifty that wait, in order, with when each should start and end."""
    return list_queue(session, tracks, settings, utc_now(), page)


@router.post("/jobs/{job_id}/heartbeat", responses=REPORT_ERRORS)
def heartbeat(
    job_id: str,
    report: Heartbeat,
    caller: Reporter,
    database: Database,
    settings: Settings,
    changes: Changes,
) -> HeartbeatReply:
    """Renew a lease, tell the progress, and hear whether to stop."""
    with write_session(database) as session:
        require_lease_holder(session, caller, job_id, report.lease_token)
        cancel = lease.heartbeat(session, job_id, report, settings.lease_seconds)
        topics = job_topics(session, job_id)
    changes.tell(topics, of_boards=False)
    return HeartbeatReply(cancel=cancel)


@router.post("/jobs/{job_id}/metrics", status_code=204, responses=REPORT_ERRORS)
def add_metrics(
    job_id: str,
    batch: MetricBatch,
    caller: Reporter,
    database: Database,
    settings: Settings,
    changes: Changes,
) -> None:
    """Store metric points; a step that is stored already stays as it is."""
    with write_session(database) as session:
        require_lease_holder(session, caller, job_id, batch.lease_token)
        reports.store_metrics(session, job_id, batch, settings.lease_seconds)
        topic = run_topic(session.get_one(Job, job_id).run_id)
    changes.tell([topic], of_boards=False)


@router.post("/jobs/{job_id}/log", status_code=204, responses=REPORT_ERRORS)
def add_log(
    job_id: str,
    chunk: LogChunk,
    caller: Reporter,
    database: Database,
    settings: Settings,
    changes: Changes,
) -> None:
    """Store a piece of the log; what is stored already stays as it is."""
    with write_session(database) as session:
        require_lease_holder(session, caller, job_id, chunk.lease_token)
        reports.store_log(session, job_id, chunk, settings.lease_seconds)
        topic = run_topic(session.get_one(Job, job_id).run_id)
    changes.tell([topic], of_boards=False)


@router.post("/jobs/{job_id}/result", status_code=204, responses=REPORT_ERRORS)
def add_result(
    job_id: str,
    report: ResultReport,
    caller: Reporter,
    database: Database,
    settings: Settings,
    tracks: Tracks,
    settlement: Settlement,
    changes: Changes,
) -> None:
    """End a run with its result; the same again changes nothing."""
    with write_session(database) as session:
        require_lease_holder(session, caller, job_id, report.lease_token)
        job = results.store_result(session, job_id, report, tracks, settings)
    settlement.settle(tracks, settings.queues_runs)
    changes.tell((QUEUE, track_topic(job.track), run_topic(job.run_id)))


@router.post("/jobs/{job_id}/failure", status_code=204, responses=REPORT_ERRORS)
def add_failure(
    job_id: str,
    report: FailureReport,
    caller: Reporter,
    database: Database,
    settings: Settings,
    tracks: Tracks,
    changes: Changes,
) -> None:
    """End an attempt with a failure; the same again changes nothing."""
    with write_session(database) as session:
        require_lease_holder(session, caller, job_id, report.lease_token)
        reports.store_failure(session, job_id, report, tracks, settings)
        topics = job_topics(session, job_id)
    _refresh_share(database, job_id)
    changes.tell(topics)


@router.post("/jobs/{job_id}/release", status_code=204, responses=REPORT_ERRORS)
def release(
    job_id: str,
    report: LeaseReturn,
    caller: Reporter,
    database: Database,
    settings: Settings,
    changes: Changes,
) -> None:
    """Hand an unfinished job back to the queue; the same again changes nothing."""
    with write_session(database) as session:
        require_lease_holder(session, caller, job_id, report.lease_token)
        lease.give_back(session, job_id, report.lease_token, settings.lease_seconds)
        topics = job_topics(session, job_id)
    changes.tell(topics)


def _refresh_share(database: Engine, job_id: str) -> None:
    """Let the author's other jobs know what the attempt took; it is stored without this, too."""
    with write_session(database) as session:
        refresh_payer(session, job_id, utc_now())
