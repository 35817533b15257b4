"""How an attempt at a job ends."""

from enum import StrEnum


class Outcome(StrEnum):
    """How an attempt ended for the worker."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    PLATFORM_FAULT = "failed through no fault of the submission"
    CANCELLED = "cancelled"
    RELEASED = "released"
    LEASE_LOST = "lease lost"
    GAVE_UP = "not reported, because the server is away"
    BROKEN = "given up, because the worker failed"
