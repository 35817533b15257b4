"""What the queue will do, if every run takes as long as expected: each job in turn goes to the
worker that is free first.

That is what claims come to. A free worker takes the first job that fits it, so that no job delays
one before it, and a job starts when the first of its workers has done all that comes before.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from server.waiting.durations import Duration


class Slot(NamedTuple):
    """When a job starts and ends, in seconds from now; infinite where nobody knows."""

    start: float
    end: float
    is_measured: bool
    """Whether all durations that it rests on were measured."""


class Pace(NamedTuple):
    """How fast the queue moves."""

    seconds_per_job: float
    is_measured: bool
    """Whether all durations that it rests on were measured."""


def schedule(
    jobs: Sequence[Mapping[str, Duration]], free_in: Mapping[str, Duration]
) -> list[Slot | None]:
    """The slot of each job; None where no worker may take it.

    Args:
        jobs: in the order of the queue, how long each takes on each worker that may have it.
        free_in: what is left of the job that each worker runs.
    """
    free = dict(free_in)
    slots: list[Slot | None] = []
    for job in jobs:
        if not job:
            slots.append(None)
            continue
        worker = min(job, key=lambda name: (free[name].seconds, job[name].seconds, name))
        before, takes = free[worker], job[worker]
        slot = Slot(
            before.seconds,
            before.seconds + takes.seconds,
            before.is_measured and takes.is_measured,
        )
        free[worker] = Duration(slot.end, slot.is_measured)
        slots.append(slot)
    return slots


def pace(slots: Sequence[Slot | None]) -> Pace:
    """The pace at which simulated jobs start."""
    known = [slot for slot in slots if slot is not None]
    last = max((slot.start for slot in known), default=0.0)
    return Pace(last / max(1, len(slots)), all(slot.is_measured for slot in known))


def beyond(pace: Pace, num_ahead: int, job: Mapping[str, Duration]) -> Slot | None:
    """The slot of a job behind those that were simulated, as if the queue went on at their pace."""
    if not job:
        return None
    takes = min(job.values())
    start = pace.seconds_per_job * num_ahead
    return Slot(start, start + takes.seconds, pace.is_measured and takes.is_measured)
