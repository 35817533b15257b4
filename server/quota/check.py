"""Refusing what an author's quota does not cover."""

from collections.abc import Sequence
from datetime import datetime
from statistics import median

from sqlmodel import Session

from core.estimate.calibration import COMPILE_SECONDS
from core.estimate.cost import estimate
from core.schema.experiment import ExperimentConfig
from core.schema.problem import Problem
from core.schema.track import TrackRules
from server.errors import QuotaExceeded
from server.quota.usage import WINDOW, net_charges, reserved_seconds
from server.tables import utc_now

LEAST_SECONDS = 60.0
"""What a run is taken to need at least; so much where no GPU of the price list has a known rate."""


def expected_seconds(config: ExperimentConfig, rules: TrackRules) -> float:
    """What a run is reserved with: compile and training time, at the median of the track's GPUs."""
    seconds = estimate(config, rules.prices_usd_per_hour).train_seconds.values()
    return max(LEAST_SECONDS, COMPILE_SECONDS + median(seconds)) if seconds else LEAST_SECONDS


def require_quota(
    session: Session,
    author: str,
    seconds: float,
    allowed_minutes: float,
    line: int | None = None,
) -> None:
    """Refuse runs that would take an author beyond the quota.

    The caller's transaction has the ledger's turn, so that two submissions cannot pass at once.

    Args:
        seconds: expected of all runs that are asked for.
        allowed_minutes: GPU-minutes of seven days; 0 for any amount.
        line: where the author stands in a submission.

    Raises:
        QuotaExceeded: used, reserved and expected are more than is allowed.
    """
    if not allowed_minutes:
        return
    charges = net_charges(session, author, utc_now())
    used = sum(charge for _, charge in charges)
    reserved = reserved_seconds(session, author)
    excess = used + reserved + seconds - allowed_minutes * 60
    if excess <= 0:
        return
    message = (
        f"{author!r} has used {used / 60:.1f} of the {allowed_minutes:g} GPU-minutes that an "
        f"author may use in seven days, {reserved / 60:.1f} are reserved for runs that wait or "
        f"run, and this takes about {seconds / 60:.1f}. {_remedy(charges, reserved, excess)}"
    )
    raise QuotaExceeded([Problem(path="author", message=message, line=line)])


def _remedy(charges: Sequence[tuple[datetime, float]], reserved: float, excess: float) -> str:
    """When enough is free again."""
    freed = 0.0
    for booked_at, seconds in charges:
        freed += seconds
        if freed >= excess:
            return f"Enough is free again at {booked_at + WINDOW:%Y-%m-%d %H:%M} UTC."
    if freed + reserved >= excess:
        return "Enough is free once enough of those runs have ended or were cancelled."
    return "That is more than the quota itself; ask for less."
