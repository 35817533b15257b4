"""Which workers there are, and which of them may take a job.

The rule is that of `server.job_choice`, told of many jobs at once; a test holds the two
together.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from sqlmodel import Session, col, select

from core.schema.track import Track, TrackRules
from server.canary.tables import WorkerFreeze
from server.tables import Worker
from server.worker_data import worker_key


class Needs(NamedTuple):
    """What a job asks of the worker that takes it; fields as in `server.tables.Job`."""

    track: str
    needs_cuda: bool
    memory_bytes: int
    only_worker_id: str | None
    only_key: str | None
    only_trusted: bool


class Fleet:
    """All workers that ever registered."""

    def __init__(self, session: Session, tracks: Mapping[str, Track]) -> None:
        """Read the workers; which data each has is looked up once a job asks for some."""
        self._session = session
        self._tracks = tracks
        self._keys: dict[tuple[str, str], str | None] = {}
        self._last_seen: dict[Needs, datetime | None] = {}
        standing = select(WorkerFreeze.worker_id, WorkerFreeze.track)
        standing = standing.where(col(WorkerFreeze.thawed_at).is_(None))
        self._frozen = set(session.exec(standing).all())
        self.workers = tuple(session.exec(select(Worker).order_by(col(Worker.id))))

    def seen_since(self, moment: datetime) -> tuple[Worker, ...]:
        """Workers that said something at that moment or later."""
        return tuple(worker for worker in self.workers if worker.last_seen_at >= moment)

    def fitting(self, needs: Needs, workers: Iterable[Worker]) -> tuple[Worker, ...]:
        """Those of some workers that may take such a job."""
        return tuple(worker for worker in workers if self.fits(worker, needs))

    def last_seen(self, needs: Needs) -> datetime | None:
        """When a worker that may take such a job last said something; None if there is none."""
        if needs not in self._last_seen:
            moments = (worker.last_seen_at for worker in self.fitting(needs, self.workers))
            self._last_seen[needs] = max(moments, default=None)
        return self._last_seen[needs]

    def fits(self, worker: Worker, needs: Needs) -> bool:
        """Whether a worker may take such a job."""
        track = self._tracks.get(needs.track)
        if track is None or not _can_price(track.rules, worker.device):
            return False
        if worker.memory_bytes and needs.memory_bytes > worker.memory_bytes:
            return False
        if needs.needs_cuda and not worker.has_cuda:
            return False
        if needs.only_trusted and not worker.is_trusted:
            return False
        if needs.only_worker_id is not None:
            if needs.only_worker_id != worker.id:
                return False
        elif (worker.id, needs.track) in self._frozen:
            return False
        return needs.only_key is None or self._has_data(worker.id, needs.track, needs.only_key)

    def _has_data(self, worker_id: str, track: str, key: str) -> bool:
        """Whether its last result on the track was under the key, or there is none yet."""
        place = worker_id, track
        if place not in self._keys:
            version = self._tracks[track].rules.version
            self._keys[place] = worker_key(self._session, worker_id, track, version)
        return self._keys[place] in (None, key)


def _can_price(rules: TrackRules, device: str) -> bool:
    return rules.budget.cost_usd is None or rules.price_usd_per_hour(device) is not None
