"""Fair shares: each queued job carries what its author has used, for the order of claims.

It is set when a job is queued and brought up to date in a transaction of its own, after an attempt
was charged and, as charges age, every few seconds: the rows that it locks are passed over by
claims, so that it must be short, and it waits for none that a claim has locked.
"""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import update
from sqlmodel import Session, col, select

from core.schema.job import JobState
from server.quota.tables import Charge
from server.quota.usage import net_seconds, window_start
from server.tables import Job


def used_minutes(session: Session, author: str, now: datetime) -> int:
    """Whole GPU-minutes that an author has used in the last seven days; 0 for nobody."""
    if not author:
        return 0
    query = select(net_seconds()).where(Charge.author == author)
    seconds = session.exec(query.where(col(Charge.booked_at) > window_start(now))).one()
    return int(seconds // 60)


def refresh_payer(session: Session, job_id: str, now: datetime) -> None:
    """Bring the queued jobs of whoever pays for a job up to date."""
    refresh_authors(session, session.exec(select(Job.charged_to).where(Job.id == job_id)), now)


def refresh_authors(session: Session, authors: Iterable[str], now: datetime) -> None:
    """Bring the queued jobs of some authors up to date; an empty name is nobody."""
    for author in sorted(set(authors) - {""}):
        _refresh(session, author, used_minutes(session, author, now))


def refresh_shares(session: Session, now: datetime) -> None:
    """Bring all queued jobs up to date: charges have grown older than seven days."""
    shown = select(Job.charged_to, Job.author_gpu_minutes).where(
        Job.state == JobState.QUEUED, Job.charged_to != ""
    )
    values: dict[str, set[int]] = {}
    for author, minutes in session.exec(shown.distinct()):
        values.setdefault(author, set()).add(minutes)
    for author in sorted(values):
        minutes = used_minutes(session, author, now)
        if values[author] != {minutes}:
            _refresh(session, author, minutes)


def _refresh(session: Session, author: str, minutes: int) -> None:
    stale = select(Job.id).where(
        Job.charged_to == author,
        Job.state == JobState.QUEUED,
        Job.author_gpu_minutes != minutes,
    )
    jobs = update(Job).where(col(Job.id).in_(stale.with_for_update(skip_locked=True)))
    session.exec(jobs.values(author_gpu_minutes=minutes))
