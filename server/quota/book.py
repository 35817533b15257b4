"""Booking what attempts took: at an attempt's end, by the time that its worker held the lease."""

from sqlmodel import Session

from core.schema.result import FailureKind
from server.quota.tables import Charge, ChargeKind
from server.tables import Attempt, AttemptOutcome, Job, RunPurpose

CHARGED = (RunPurpose.SUBMISSION, RunPurpose.RERUN)
"""What an author asked for; all other runs are charged to nobody."""


def payer(purpose: RunPurpose, requested_by: str) -> str:
    """The author whose quota a run is charged to; empty for nobody."""
    return requested_by if purpose in CHARGED else ""


def book_attempt(session: Session, job: Job, attempt: Attempt, num_devices: int) -> None:
    """Charge an attempt that has ended, and refund it if its author is not to blame.

    Args:
        num_devices: GPUs that the attempt used, or was claimed with.
    """
    if not job.charged_to or attempt.ended_at is None:
        return
    kinds = [ChargeKind.CHARGE]
    if _is_refunded(attempt.outcome, attempt.failure):
        kinds.append(ChargeKind.REFUND)
    seconds = max(0.0, (attempt.ended_at - attempt.started_at).total_seconds())
    for kind in kinds:
        row = {
            "author": job.charged_to,
            "job_id": job.id,
            "attempt": attempt.number,
            "kind": kind,
            "gpu_seconds": seconds * num_devices,
            "booked_at": attempt.ended_at,
        }
        session.add(Charge.model_validate(row))
    session.flush()


def _is_refunded(outcome: AttemptOutcome | None, failure: FailureKind | None) -> bool:
    """Whether the worker handed the job back or was lost, or the platform failed."""
    is_fault = failure is not None and failure.is_platform_fault
    return outcome is AttemptOutcome.RETURNED or is_fault
