"""When waiting and running jobs should start and end, as far as anybody can say."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import select as select_columns
from sqlmodel import Session, select

from core.schema.forecast import Basis, Forecast
from core.schema.job import JobState
from core.schema.track import Track
from server.claim_order import CLAIM_ORDER, JOB, stands_before
from server.formatting import moment
from server.job_queue import jobs_ahead
from server.quota.shares import used_minutes
from server.settings import ServerSettings
from server.tables import Job
from server.waiting.alarm import is_alarming
from server.waiting.durations import Duration, Durations
from server.waiting.fleet import Fleet, Needs
from server.waiting.simulation import Slot, beyond, pace, schedule

MAX_SIMULATED = 1000
"""Jobs of the queue that are simulated; those behind them are scaled."""
LAST_POSITION = 2**31 - 1
"""A place behind every job that is queued already."""
QUEUED = (
    select_columns(
        JOB.c.track,
        JOB.c.needs_cuda,
        JOB.c.memory_bytes,
        JOB.c.only_worker_id,
        JOB.c.only_key,
        JOB.c.only_trusted,
    )
    .where(JOB.c.state == JobState.QUEUED)
    .order_by(*CLAIM_ORDER)
)
"""What queued jobs need, in the order in which they are claimed."""
UNDER_LEASE = select_columns(JOB.c.worker_id, JOB.c.started_at, JOB.c.track).where(
    JOB.c.state == JobState.RUNNING
)
"""(worker, start, track) of every running job."""
UNTIMED = (
    "How long this run, or one before it, takes is not known: none of its track was timed yet, and "
    "there is no estimate for the device."
)


def needs_of(job: Job) -> Needs:
    """What a job asks of its worker."""
    return Needs(
        job.track,
        job.needs_cuda,
        job.memory_bytes,
        job.only_worker_id,
        job.only_key,
        job.only_trusted,
    )


class Forecaster:
    """Works out the forecasts of one moment."""

    def __init__(
        self,
        session: Session,
        tracks: Mapping[str, Track],
        settings: ServerSettings,
        now: datetime,
    ) -> None:
        """Read the workers and how long runs take.

        Those workers count that were seen within the time that a lease lasts.
        """
        self._session = session
        self._now = now
        self._fleet = Fleet(session, tracks)
        self._devices = {worker.id: worker.device for worker in self._fleet.workers}
        self._durations = Durations(session, tracks)
        self._present = self._fleet.seen_since(now - timedelta(seconds=settings.lease_seconds))
        self._silent_since = now - timedelta(seconds=settings.alarm_seconds)
        self._takes_by_needs: dict[Needs, dict[str, Duration]] = {}

    def of_running(self, job: Job) -> Forecast:
        """Forecast of a job under lease."""
        device = self._devices[str(job.worker_id)]
        passed, left = self._passed_and_left(job.started_at, self._durations.of(job.track, device))
        return self._forecast(Slot(-passed, left.seconds, left.is_measured))

    def of_waiting(self, job: Job) -> Forecast:
        """Forecast of one job that is queued, or would be."""
        before = self._session.execute(QUEUED.where(stands_before(job)).limit(MAX_SIMULATED))
        needs, num_ahead = needs_of(job), jobs_ahead(self._session, job)
        slots = self._slots([*(Needs(*row) for row in before), needs])
        slot = slots[-1]
        if len(slots) > MAX_SIMULATED:
            slot = beyond(pace(slots[:-1]), num_ahead, self._takes(needs))
        return self._waiting(job, needs, num_ahead, slot)

    def of_queued(self, jobs: Sequence[Job], start: int) -> dict[str, Forecast]:
        """Forecasts of queued jobs that follow each other, by their ids.

        Args:
            start: how many queued jobs come before the first of them; at least 1,000 may stand for
                any number beyond.
        """
        if not jobs:
            return {}
        num_simulated = min(start + len(jobs), MAX_SIMULATED)
        first = self._session.execute(QUEUED.limit(num_simulated))
        slots = self._slots([Needs(*row) for row in first])
        later, num_ahead = pace(slots), jobs_ahead(self._session, jobs[0])
        forecasts = {}
        for index, job in enumerate(jobs, start):
            needs = needs_of(job)
            if index < len(slots):
                slot = slots[index]
            else:
                slot = beyond(later, num_ahead, self._takes(needs))
            forecasts[job.id] = self._waiting(job, needs, num_ahead, slot)
            # As `jobs_ahead` counts: what is kept for one worker is not ahead of others.
            num_ahead += needs.only_worker_id is None
        return forecasts

    def _slots(self, queue: Sequence[Needs]) -> list[Slot | None]:
        free_in = {worker.id: Duration(0.0, is_measured=True) for worker in self._present}
        for worker_id, started_at, track in self._session.execute(UNDER_LEASE):
            if worker_id in free_in:
                takes = self._durations.of(track, self._devices[worker_id])
                _, left = self._passed_and_left(started_at, takes)
                free_in[worker_id] = max(free_in[worker_id], left)
        return schedule([self._takes(needs) for needs in queue], free_in)

    def _takes(self, needs: Needs) -> Mapping[str, Duration]:
        """How long such a job takes on each worker that is there and may have it."""
        if needs not in self._takes_by_needs:
            self._takes_by_needs[needs] = {
                worker.id: self._durations.of(needs.track, worker.device)
                for worker in self._fleet.fitting(needs, self._present)
            }
        return self._takes_by_needs[needs]

    def _passed_and_left(
        self, started_at: datetime | None, takes: Duration
    ) -> tuple[float, Duration]:
        """Seconds since a run began, and what is left; an overdue one may end any moment."""
        passed = (self._now - started_at).total_seconds() if started_at else 0.0
        return passed, Duration(max(0.0, takes.seconds - passed), takes.is_measured)

    def _waiting(self, job: Job, needs: Needs, num_ahead: int, slot: Slot | None) -> Forecast:
        note = self._absence(needs) if slot is None else ""
        is_alarm = is_alarming(self._fleet, job, needs, self._silent_since)
        return self._forecast(slot, num_ahead + 1, note, is_alarm)

    def _forecast(
        self,
        slot: Slot | None,
        position: int | None = None,
        note: str = "",
        is_alarm: bool = False,
    ) -> Forecast:
        starts_at = self._moment(slot.start if slot else math.inf)
        ends_at = self._moment(slot.end if slot else math.inf)
        basis: Basis | None = None
        if slot is not None and ends_at is not None:
            basis = "measured" if slot.is_measured else "estimated"
        return Forecast(
            as_of=self._now,
            position=position,
            starts_at=starts_at,
            ends_at=ends_at,
            basis=basis,
            note=note or (UNTIMED if ends_at is None else ""),
            is_alarm=is_alarm,
        )

    def _absence(self, needs: Needs) -> str:
        """Why there is no time for a job that no worker may take at present."""
        seen_at = self._fleet.last_seen(needs)
        if seen_at is None:
            return "No worker that may take it has registered yet."
        return f"No worker that may take it is there; the last one was seen {moment(seen_at)}."

    def _moment(self, seconds: float) -> datetime | None:
        return None if math.isinf(seconds) else self._now + timedelta(seconds=seconds)


def run_forecast(
    session: Session,
    tracks: Mapping[str, Track],
    settings: ServerSettings,
    run_id: str,
    now: datetime,
) -> Forecast | None:
    """Forecast of a run that waits or runs; None for one that is over."""
    job = session.exec(select(Job).where(Job.run_id == run_id)).one_or_none()
    if job is None or job.state.is_final:
        return None
    forecaster = Forecaster(session, tracks, settings, now)
    is_running = job.state is JobState.RUNNING
    return forecaster.of_running(job) if is_running else forecaster.of_waiting(job)


def next_forecast(
    session: Session,
    tracks: Mapping[str, Track],
    settings: ServerSettings,
    track: Track,
    memory_bytes: int,
    author: str,
    now: datetime,
) -> Forecast:
    """Forecast of a run that an author would get by submitting now.

    Args:
        memory_bytes: device memory that it may need.
        author: who would submit it; empty if that is not known yet.
    """
    rules = track.rules
    # Of no table: what is not there yet stands last among its equals.
    job = Job.model_validate(
        {
            "id": "",
            "run_id": "",
            "track": rules.name,
            "track_version": rules.version,
            "position": LAST_POSITION,
            "needs_cuda": rules.device == "cuda",
            "memory_bytes": memory_bytes,
            "author_gpu_minutes": used_minutes(session, author, now),
            "created_at": now,
        }
    )
    return Forecaster(session, tracks, settings, now).of_waiting(job)
