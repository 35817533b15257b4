"""The alarm: jobs wait, and no worker that may take them has been seen for a set time."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import AwareDatetime
from sqlmodel import Session, case, col, func, select

from core.schema.base import Message
from core.schema.job import JobState
from core.schema.track import Track
from server.formatting import moment
from server.settings import ServerSettings
from server.tables import Job, Priority
from server.waiting.fleet import Fleet, Needs


class QueueAlarm(Message):
    """Jobs wait that no worker will take unless somebody does something."""

    num_jobs: int
    """Jobs that wait for a worker that is not there."""
    tracks: tuple[str, ...]
    """Their tracks."""
    since: AwareDatetime
    """When a worker that may take one of them was last seen, or, if none ever registered, when the
    job was queued; of several jobs, the earliest."""
    message: str
    """The same in a sentence."""


def is_alarming(fleet: Fleet, job: Job, needs: Needs, silent_since: datetime) -> bool:
    """Whether nobody who may take a queued job was seen since then, though somebody waits for it.

    Nobody waits for what is kept for one worker, or only done by idle ones.
    """
    if job.only_worker_id is not None or job.priority == Priority.IDLE:
        return False
    return (fleet.last_seen(needs) or job.created_at) <= silent_since


def queue_alarm(
    session: Session, tracks: Mapping[str, Track], settings: ServerSettings, now: datetime
) -> QueueAlarm | None:
    """The alarm as of `now`; None while all is well."""
    silent_since = now - timedelta(seconds=settings.alarm_seconds)
    fleet = Fleet(session, tracks)
    num_jobs, names, since = 0, set(), []
    for kind in session.exec(_kinds(silent_since)):
        track, needs_cuda, size, key, only_trusted, total, num_old, oldest = kind
        needs = Needs(track, needs_cuda, size, None, key, only_trusted)
        seen_at = fleet.last_seen(needs)
        # Where no such worker ever registered, one may still be on its way for the newest jobs.
        lost = num_old if seen_at is None else total
        if lost and (seen_at or oldest) <= silent_since:
            num_jobs += lost
            names.add(needs.track)
            since.append(seen_at or oldest)
    if not num_jobs:
        return None
    return QueueAlarm(
        num_jobs=num_jobs,
        tracks=tuple(sorted(names)),
        since=min(since),
        message=_message(num_jobs, sorted(names), min(since)),
    )


def _kinds(silent_since: datetime) -> Any:
    """Kinds of jobs for which somebody waits: what they need, how many, how many of them old, and
    when the oldest was queued."""
    needs: tuple[Any, ...] = (
        Job.track,
        Job.needs_cuda,
        Job.memory_bytes,
        Job.only_key,
        Job.only_trusted,
    )
    is_old = case((col(Job.created_at) <= silent_since, 1), else_=0)
    columns = (*needs, func.count(), func.sum(is_old), func.min(Job.created_at))
    return (
        select(*columns)
        .select_from(Job)
        .where(Job.state == JobState.QUEUED, Job.priority != Priority.IDLE)
        .where(col(Job.only_worker_id).is_(None))
        .group_by(*needs)
    )


def _message(num_jobs: int, tracks: list[str], since: datetime) -> str:
    jobs = "1 job waits" if num_jobs == 1 else f"{num_jobs:,} jobs wait"
    one = "it" if num_jobs == 1 else "them"
    return (
        f"{jobs} on {', '.join(tracks)}, and no worker that may take {one} "
        f"has been seen since {moment(since)}."
    )
