"""Move what happened in time, so that durations are known to the second."""

from datetime import datetime, timedelta

from sqlalchemy import Engine
from sqlmodel import col, select

from server.database import write_session
from server.tables import Job, Worker, utc_now

NOW = utc_now()
"""When tests look; the server's own clock is not much later."""


def take(engine: Engine, run_id: str, seconds: float, began: datetime = NOW) -> None:
    """Let a finished run have taken so long."""
    with write_session(engine) as session:
        job = session.exec(select(Job).where(Job.run_id == run_id)).one()
        job.started_at, job.finished_at = began, began + timedelta(seconds=seconds)


def begin(engine: Engine, run_id: str, seconds_ago: float) -> None:
    """Let a running job have begun so long before `NOW`."""
    with write_session(engine) as session:
        job = session.exec(select(Job).where(Job.run_id == run_id)).one()
        job.started_at = NOW - timedelta(seconds=seconds_ago)


def see(engine: Engine, name: str, seconds_ago: float) -> None:
    """Let a worker have been seen last so long before `NOW`."""
    with write_session(engine) as session:
        worker = session.exec(select(Worker).where(col(Worker.name) == name)).one()
        worker.last_seen_at = NOW - timedelta(seconds=seconds_ago)
