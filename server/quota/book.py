"""Booking what attempts took: at an attempt's end, by the time that its worker held the lease."""

from datetime import datetime, timedelta
from typing import NamedTuple

from sqlmodel import Session

from core.schema.result import FailureKind
from server.quota.tables import Charge, ChargeKind
from server.tables import AttemptOutcome, RunPurpose, table_of

BOOKED = table_of(Charge).insert()

CHARGED = (RunPurpose.SUBMISSION, RunPurpose.RERUN)
"""What an author asked for; all other runs are charged to nobody."""


class Ended(NamedTuple):
    """How an attempt ended."""

    ended_at: datetime
    outcome: AttemptOutcome
    failure: FailureKind | None = None
    message: str = ""


class Charged(NamedTuple):
    """What an attempt took, and whose it was."""

    author: str
    job_id: str
    attempt: int
    time: timedelta
    """That its worker held the lease."""
    num_devices: int
    """GPUs that the attempt used, or was claimed with."""


def payer(purpose: RunPurpose, requested_by: str) -> str:
    """The author whose quota a run is charged to; empty for nobody."""
    return requested_by if purpose in CHARGED else ""


def book(session: Session, charged: Charged, ended: Ended) -> None:
    """Charge an attempt, and refund it if its author is not to blame."""
    kinds = [ChargeKind.CHARGE]
    if _is_refunded(ended.outcome, ended.failure):
        kinds.append(ChargeKind.REFUND)
    row = {
        "author": charged.author,
        "job_id": charged.job_id,
        "attempt": charged.attempt,
        "gpu_seconds": max(0.0, charged.time.total_seconds()) * charged.num_devices,
        "booked_at": ended.ended_at,
    }
    session.connection().execute(BOOKED, [{**row, "kind": kind} for kind in kinds])


def _is_refunded(outcome: AttemptOutcome, failure: FailureKind | None) -> bool:
    """Whether the worker handed the job back or was lost, or the platform failed."""
    is_fault = failure is not None and failure.is_platform_fault
    return outcome is AttemptOutcome.RETURNED or is_fault
