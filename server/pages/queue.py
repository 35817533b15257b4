"""The page of the queue and the workers."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from core.schema.track import Track
from server.canary.drawing import ChartDrawing, drawing
from server.canary.view import FreezeNote
from server.live.topics import QUEUE
from server.pages.page import Page
from server.queue_listing import Queue, list_queue
from server.settings import ServerSettings
from server.workers import WorkerSummary, list_workers


@dataclass(frozen=True, kw_only=True)
class WorkerChart:
    """A worker's canaries on a track, and whether it is trusted there."""

    drawing: ChartDrawing
    freeze: FreezeNote | None
    """Why it is not; None if it is."""


@dataclass(frozen=True, kw_only=True)
class WorkerLine:
    """A worker and its canaries."""

    worker: WorkerSummary
    last_canary_at: datetime | None
    """When its newest canary ended, on any track."""
    charts: tuple[WorkerChart, ...]
    """One for each track on which it had canaries."""


@dataclass(frozen=True, kw_only=True)
class QueuePage(Page):
    """Context of `queue.html`."""

    queue: Queue
    workers: tuple[WorkerLine, ...]


def queue_page(
    session: Session,
    tracks: Mapping[str, Track],
    settings: ServerSettings,
    now: datetime,
    page: int = 1,
) -> QueuePage:
    """A page of the queue as of `now`."""
    return QueuePage(
        title="Queue",
        section="queue",
        is_live=True,
        topics=(QUEUE,),
        json_url="/api/v1/queue" if page == 1 else f"/api/v1/queue?page={page}",
        queue=list_queue(session, tracks, settings, now, page),
        workers=tuple(_line(worker) for worker in list_workers(session, tracks, settings, now)),
    )


def _line(worker: WorkerSummary) -> WorkerLine:
    freezes = {note.track: note for note in worker.frozen}
    moments = [chart.points[-1].measured_at for chart in worker.canaries]
    return WorkerLine(
        worker=worker,
        last_canary_at=max(moments, default=None),
        charts=tuple(
            WorkerChart(drawing=drawing(chart), freeze=freezes.get(chart.track))
            for chart in worker.canaries
        ),
    )
