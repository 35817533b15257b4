"""When waiting and running jobs should start and end, as far as anybody can say."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session, col, select

from core.schema.forecast import Basis, Forecast
from core.schema.job import JobState
from core.schema.track import Track
from server.claim_order import CLAIM_ORDER, stands_before
from server.formatting import moment
from server.job_queue import jobs_ahead
from server.quota.shares import used_minutes
from server.settings import ServerSettings
from server.tables import Experiment, Job, Run, Worker
from server.waiting.alarm import is_alarming
from server.waiting.durations import Duration, Durations
from server.waiting.fleet import Fleet, Needs
from server.waiting.simulation import Slot, beyond, pace, schedule

MAX_SIMULATED = 1000
"""Jobs of the queue that are simulated; those behind them are scaled."""
LAST_POSITION = 2**31 - 1
"""A place behind every job that is queued already."""
UNTIMED = (
    "How long this run, or one before it, takes is not known: none of its track was timed yet, and "
    "there is no estimate for the device."
)


def needs_of(job: Job, track: str) -> Needs:
    """What a job asks of its worker."""
    return Needs(
        track,
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
        self._durations = Durations(session, tracks)
        self._present = self._fleet.seen_since(now - timedelta(seconds=settings.lease_seconds))
        self._silent_since = now - timedelta(seconds=settings.alarm_seconds)
        self._takes_by_needs: dict[Needs, dict[str, Duration]] = {}

    def of_running(self, job: Job, track: str) -> Forecast:
        """Forecast of a job under lease."""
        device = self._session.get_one(Worker, job.worker_id).device
        passed, left = self._passed_and_left(job.started_at, self._durations.of(track, device))
        return self._forecast(Slot(-passed, left.seconds, left.is_measured))

    def of_waiting(self, job: Job, track: str) -> Forecast:
        """Forecast of one queued job."""
        before = _queued().where(stands_before(job))
        ahead = [Needs(*row) for row in self._session.exec(before.limit(MAX_SIMULATED))]
        num_ahead, needs = jobs_ahead(self._session, job), needs_of(job, track)
        if len(ahead) < MAX_SIMULATED:
            slot = self._slots([*ahead, needs])[-1]
        else:
            slot = beyond(pace(self._slots(ahead)), num_ahead, self._takes(needs))
        return self._waiting(job, needs, num_ahead, slot)

    def of_queue(self, queue: Sequence[tuple[Job, str]]) -> dict[str, Forecast]:
        """Forecasts of all queued jobs, given in order with their tracks, by the jobs' ids."""
        all_needs = [needs_of(job, track) for job, track in queue]
        slots = self._slots(all_needs[:MAX_SIMULATED])
        forecasts, num_ahead, later = {}, 0, pace(slots)
        for index, ((job, _), needs) in enumerate(zip(queue, all_needs, strict=True)):
            if index < MAX_SIMULATED:
                slot = slots[index]
            else:
                slot = beyond(later, num_ahead, self._takes(needs))
            forecasts[job.id] = self._waiting(job, needs, num_ahead, slot)
            # As `jobs_ahead` counts: what is kept for one worker is not ahead of others.
            num_ahead += needs.only_worker_id is None
        return forecasts

    def _slots(self, queue: Sequence[Needs]) -> list[Slot | None]:
        free_in = {worker.id: Duration(0.0, is_measured=True) for worker in self._present}
        devices = {worker.id: worker.device for worker in self._present}
        for worker_id, started_at, track in self._session.exec(_under_lease()):
            if worker_id in free_in:
                takes = self._durations.of(track, devices[worker_id])
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
    query = (
        select(Job, Experiment.track)
        .join(Run, col(Run.id) == col(Job.run_id))
        .join(Experiment, col(Experiment.hash) == col(Run.experiment_hash))
        .where(Job.run_id == run_id)
    )
    found = session.exec(query).one_or_none()
    if found is None or found[0].state.is_final:
        return None
    job, track = found
    forecaster = Forecaster(session, tracks, settings, now)
    is_running = job.state is JobState.RUNNING
    return forecaster.of_running(job, track) if is_running else forecaster.of_waiting(job, track)


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
    return Forecaster(session, tracks, settings, now).of_waiting(job, rules.name)


def _queued() -> Any:
    """What queued jobs need, in the order in which they are claimed."""
    columns: tuple[Any, ...] = (
        Experiment.track,
        Job.needs_cuda,
        Job.memory_bytes,
        Job.only_worker_id,
        Job.only_key,
        Job.only_trusted,
    )
    return (
        select(*columns)
        .select_from(Job)
        .join(Run, col(Run.id) == col(Job.run_id))
        .join(Experiment, col(Experiment.hash) == col(Run.experiment_hash))
        .where(Job.state == JobState.QUEUED)
        .order_by(*CLAIM_ORDER)
    )


def _under_lease() -> Any:
    """(worker, start, track) of every running job."""
    return (
        select(Job.worker_id, Job.started_at, Experiment.track)
        .join(Run, col(Run.id) == col(Job.run_id))
        .join(Experiment, col(Experiment.hash) == col(Run.experiment_hash))
        .where(Job.state == JobState.RUNNING)
    )
