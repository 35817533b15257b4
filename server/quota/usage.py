"""What authors have used in the last seven days, and what their runs may still use."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, case
from sqlmodel import Session, col, func, select

from core.schema.job import JobState
from core.schema.quota import QuotaStatus
from server.quota.tables import Charge, ChargeKind
from server.tables import Job, utc_now

WINDOW = timedelta(days=7)
"""How long a charge counts."""


def window_start(now: datetime) -> datetime:
    """What was booked before then counts no more."""
    return now - WINDOW


def net_seconds() -> ColumnElement[float]:
    """The sum of some charges less refunds."""
    signed = case((col(Charge.kind) == ChargeKind.REFUND, -col(Charge.gpu_seconds)))
    return func.coalesce(func.sum(func.coalesce(signed, col(Charge.gpu_seconds))), 0.0)


def reserved_seconds(session: Session, author: str) -> float:
    """The estimates of an author's runs that wait or run."""
    states = (JobState.QUEUED, JobState.RUNNING)
    total = func.coalesce(func.sum(Job.estimated_seconds), 0.0)
    query = select(total).where(Job.charged_to == author, col(Job.state).in_(states))
    return float(session.exec(query).one())


def net_charges(session: Session, author: str, now: datetime) -> Sequence[tuple[datetime, float]]:
    """When each attempt of the window that was not refunded was booked, and what it took."""
    query = _in_window(select(Charge.booked_at, net_seconds()), author, now)
    query = query.group_by(col(Charge.job_id), col(Charge.attempt), col(Charge.booked_at))
    rows = session.exec(query.order_by(col(Charge.booked_at)))
    return [(booked_at, seconds) for booked_at, seconds in rows if seconds > 0]


def quota_status(session: Session, author: str, allowed_minutes: float) -> QuotaStatus:
    """Where an author stands.

    Args:
        allowed_minutes: GPU-minutes of seven days; 0 for any amount.
    """
    now = utc_now()
    charges = net_charges(session, author, now)
    used = sum(seconds for _, seconds in charges) / 60
    reserved = reserved_seconds(session, author) / 60
    return QuotaStatus(
        author=author,
        allowed_minutes=allowed_minutes or None,
        used_minutes=used,
        reserved_minutes=reserved,
        left_minutes=max(0.0, allowed_minutes - used - reserved) if allowed_minutes else None,
        frees_at=charges[0][0] + WINDOW if charges else None,
    )


def _in_window(query: Any, author: str, now: datetime) -> Any:
    return query.where(Charge.author == author, col(Charge.booked_at) > window_start(now))
