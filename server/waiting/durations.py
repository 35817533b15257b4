"""How long a run of a track takes on a device: as measured, or else as estimated.

Where the track's estimate does not know the device, the slowest device that was measured stands in.
"""

import math
from collections.abc import Mapping
from statistics import median
from typing import Any, NamedTuple

from sqlmodel import Session, col, select

from core.estimate.calibration import COMPILE_SECONDS
from core.estimate.cost import estimate
from core.schema.job import JobState
from core.schema.track import Track, listed_model
from server.tables import Job, Worker

RECENT_RUNS = 1000
"""Newest runs of the whole board that are read."""
RUNS_PER_MEDIAN = 20
"""Newest runs of a track on a device that count."""


class Duration(NamedTuple):
    """Time from a job's claim to its result."""

    seconds: float
    """Infinite where nobody knows."""
    is_measured: bool
    """Whether runs on this device were timed."""


class Durations:
    """Durations by track and device."""

    def __init__(self, session: Session, tracks: Mapping[str, Track]) -> None:
        """Read the newest runs of the present versions of the tracks."""
        self._tracks = tracks
        self._measured = _measured(session, tracks)
        self._estimated: dict[str, dict[str, float]] = {}

    def of(self, track: str, device: str) -> Duration:
        """How long a run of a track takes on a device of that name."""
        seconds = self._measured.get((track, device))
        if seconds is not None:
            return Duration(seconds, is_measured=True)
        estimated = self._estimate(track, device)
        if math.isinf(estimated):
            elsewhere = [seconds for (name, _), seconds in self._measured.items() if name == track]
            estimated = max(elsewhere, default=math.inf)
        return Duration(estimated, is_measured=False)

    def _estimate(self, track: str, device: str) -> float:
        """Training and compilation of the track's base config; evaluation is not estimated."""
        if track not in self._tracks:
            return math.inf
        if track not in self._estimated:
            served = self._tracks[track]
            prices = served.rules.prices_usd_per_hour
            self._estimated[track] = estimate(served.base, prices).train_seconds
        model = listed_model(self._estimated[track], device)
        return math.inf if model is None else COMPILE_SECONDS + self._estimated[track][model]


def _measured(session: Session, tracks: Mapping[str, Track]) -> dict[tuple[str, str], float]:
    """The median of the newest runs of each track on each device.

    Only what went through in one attempt counts: a later one may have gone on from a checkpoint.
    """
    of_job: tuple[Any, ...] = (
        Job.track,
        Job.track_version,
        Job.worker_id,
        Job.started_at,
        Job.finished_at,
    )
    newest = (
        select(*of_job)
        .where(Job.state == JobState.SUCCEEDED, Job.attempt == 1)
        .order_by(col(Job.finished_at).desc())
        .limit(RECENT_RUNS)
        .subquery()
    )
    times = (newest.c.started_at, newest.c.finished_at)
    columns: tuple[Any, ...] = (newest.c.track, newest.c.track_version, Worker.device, *times)
    query = (
        select(*columns)
        .select_from(newest)
        .join(Worker, col(Worker.id) == newest.c.worker_id)
        .order_by(newest.c.finished_at.desc())
    )
    found: dict[tuple[str, str], list[float]] = {}
    for track, version, device, started_at, finished_at in session.exec(query):
        if track in tracks and version == tracks[track].rules.version:
            seconds = found.setdefault((track, device), [])
            if len(seconds) < RUNS_PER_MEDIAN:
                seconds.append((finished_at - started_at).total_seconds())
    return {place: median(seconds) for place, seconds in found.items()}
