"""What an author has left, in rows."""

from collections.abc import Iterator

from core.schema.quota import QuotaStatus


def quota_rows(quota: QuotaStatus) -> Iterator[tuple[str, str]]:
    """Used, reserved and left, of the last seven days."""
    allowed = "" if quota.allowed_minutes is None else f" of {quota.allowed_minutes:,.1f}"
    yield "used in 7 days", f"{quota.used_minutes:,.1f}{allowed} GPU-minutes"
    yield "reserved", f"{quota.reserved_minutes:,.1f} GPU-minutes, for runs that wait or run"
    if quota.left_minutes is None:
        yield "left", "no limit"
    else:
        yield "left", f"{quota.left_minutes:,.1f} GPU-minutes"
    if quota.frees_at is not None and quota.allowed_minutes is not None:
        yield "next free at", f"{quota.frees_at:%Y-%m-%d %H:%M} UTC"
