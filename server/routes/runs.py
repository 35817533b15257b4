"""Reading runs."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse, Response

from core.schema.base import Message
from core.schema.job import RunSpec, RunStatus
from core.schema.metric_point import MetricPoint
from server import runs
from server.dependencies import ReadSession, Settings, Tracks
from server.error_answers import documented
from server.run_log import log_tail
from server.tables import utc_now
from server.waiting.forecast import run_forecast

router = APIRouter(prefix="/runs", tags=["runs"])
MAX_TAIL = 10_000


class RunMetrics(Message):
    """The metric points of a run."""

    points: tuple[MetricPoint, ...]
    """In order of their steps."""


@router.get("/{run_id}", responses=documented(404))
def get_run(run_id: str, session: ReadSession, tracks: Tracks, settings: Settings) -> RunStatus:
    """Where a run stands, when it should start and end, and its result once it has one."""
    status = runs.run_status(session, run_id, settings.base_url)
    forecast = run_forecast(session, tracks, settings, run_id, utc_now())
    return status.model_copy(update={"forecast": forecast})


@router.get("/{run_id}/spec", responses=documented(404))
def get_spec(run_id: str, session: ReadSession, tracks: Tracks) -> RunSpec:
    """Config, seed and bounds of a run: all that it takes to train it again."""
    return runs.find_run_spec(session, tracks, run_id)


@router.get("/{run_id}/metrics", responses=documented(404))
def get_metrics(run_id: str, session: ReadSession) -> RunMetrics:
    """Every metric point of a run."""
    return RunMetrics(points=runs.run_metrics(session, run_id))


@router.get(
    "/{run_id}/log",
    response_class=Response,
    responses={**documented(404), 200: {"content": {"text/plain": {}}}},
)
def get_log(
    run_id: str, session: ReadSession, tail: Annotated[int, Query(ge=1, le=MAX_TAIL)] = 100
) -> Response:
    """The last lines of the newest attempt's log, as plain text."""
    runs.find_run(session, run_id)
    text = "".join(f"{line}\n" for line in log_tail(session, run_id, tail))
    return PlainTextResponse(text)
