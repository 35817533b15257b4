"""Which queued job a worker gets: the first in the queue's order that fits it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Select, Text, and_, bindparam, case, cast, false, func, or_, select, true
from sqlmodel import Session

from core.schema.track import Track, TrackRules
from server.canary.frozen import frozen_tracks
from server.claim_order import CLAIM_ORDER, IS_QUEUED
from server.tables import Experiment, Job, Run, table_of
from server.worker_data import newest_key

JOB, RUN, EXPERIMENT = table_of(Job), table_of(Run), table_of(Experiment)


@dataclass(frozen=True)
class Claimant:
    """What a worker is, as far as it decides which jobs fit it."""

    id: str
    device: str
    has_cuda: bool
    memory_bytes: int
    is_trusted: bool


class Choice(NamedTuple):
    """A job that nobody else takes before the transaction ends, and what it asks for."""

    job_id: str
    run_id: str
    attempt: int
    """Attempts begun before."""
    only_worker_id: str | None
    track: str
    track_version: int
    seed: int
    config: str
    """As JSON."""


WORKER_ID = bindparam("worker_id", type_=JOB.c.worker_id.type)
IS_ALLOWED = or_(
    JOB.c.only_worker_id == WORKER_ID,
    JOB.c.only_worker_id.is_(None) & JOB.c.track.not_in(frozen_tracks(WORKER_ID)),
)
"""Whether a job is kept for the worker, or for nobody and the worker is not frozen on its track."""
HAS_DATA = or_(
    JOB.c.only_key.is_(None),
    func.coalesce(newest_key(WORKER_ID, JOB.c.track, JOB.c.track_version), JOB.c.only_key)
    == JOB.c.only_key,
)
"""Whether the worker has the data that a board waits for, or no result on the track yet."""
FITS = and_(
    IS_ALLOWED,
    HAS_DATA,
    JOB.c.memory_bytes <= bindparam("memory_bytes"),
    or_(JOB.c.needs_cuda.is_(False), bindparam("has_cuda", type_=JOB.c.needs_cuda.type)),
    or_(JOB.c.only_trusted.is_(False), bindparam("is_trusted", type_=JOB.c.only_trusted.type)),
)
ANY_MEMORY = 2**63 - 1
"""What a worker that does not know its memory is taken to have, in bytes."""


def choose(session: Session, worker: Claimant, tracks: Mapping[str, Track]) -> Choice | None:
    """The first queued job that fits a worker.

    A worker that is frozen on a track gets its own jobs alone there. What a board waits for goes
    to workers of its data, and to those that have no result on the track yet. A job of a track
    that bounds dollars fits only a device that the track has a price for.
    """
    priced = [name for name, track in tracks.items() if _can_price(track.rules, worker.device)]
    asked = {
        "worker_id": worker.id,
        "memory_bytes": worker.memory_bytes or ANY_MEMORY,
        "has_cuda": worker.has_cuda,
        "is_trusted": worker.is_trusted,
    }
    session.flush()
    found = session.connection().execute(_first_fit(tuple(priced)), asked).one_or_none()
    return None if found is None else Choice(*found)


@cache
def _first_fit(priced: tuple[str, ...]) -> Select[Any]:
    """The first queued job of some tracks that fits; compiled once, as a list of values is not."""
    fits = and_(or_(false(), *(JOB.c.track == name for name in priced)), FITS)
    return (
        select(
            JOB.c.id,
            JOB.c.run_id,
            JOB.c.attempt,
            JOB.c.only_worker_id,
            JOB.c.track,
            JOB.c.track_version,
            RUN.c.seed,
            cast(EXPERIMENT.c.config, Text),
        )
        .join_from(JOB, RUN, RUN.c.id == JOB.c.run_id)
        .join(EXPERIMENT, EXPERIMENT.c.hash == RUN.c.experiment_hash)
        # The `case` keeps PostgreSQL in the queue's order. From the conditions themselves it may
        # expect that next to nothing fits, and then it reads all that waits and sorts it.
        .where(IS_QUEUED, case((fits, true()), else_=false()))
        .order_by(*CLAIM_ORDER)
        .limit(1)
        .with_for_update(skip_locked=True, of=JOB)
    )


def _can_price(rules: TrackRules, device: str) -> bool:
    return rules.budget.cost_usd is None or rules.price_usd_per_hour(device) is not None
