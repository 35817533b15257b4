"""The background task that deletes checkpoints which nobody will go on from."""

import asyncio
import logging
import re
from contextlib import suppress
from datetime import timedelta

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from server.artifacts.checkpoints import (
    checkpoints_of_ended_jobs,
    files_in_use,
    forget_checkpoint,
)
from server.artifacts.store import ArtifactStore
from server.database import read_session, write_session
from server.errors import ArtifactsUnavailable, NotFound
from server.tables import utc_now

logger = logging.getLogger(__name__)

ORPHAN_AGE = timedelta(hours=1)
"""A file that was written to more recently may be on its way in."""
PASSES_PER_SEARCH = 360
"""Files without a job are rare, and a bucket is slow to list."""
OURS = re.compile(r"j_[a-z2-7]{10}-\d+-\d+-[0-9a-f]{8}\.tar")
"""Whatever else lies there is somebody's."""


class Sweeper:
    """Sweeps every few seconds, as long as its server runs.

    Not a part of the reaper: a bucket that does not answer must not hold up leases.
    """

    def __init__(self, engine: Engine, store: ArtifactStore, interval_seconds: float) -> None:
        self._engine = engine
        self._store = store
        self._interval_seconds = interval_seconds
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    def start(self) -> None:
        """Begin, in the running event loop."""
        self._task = asyncio.create_task(self._run(), name="sweeper")

    async def stop(self) -> None:
        """End, and wait until a pass under way is done."""
        self._stopping.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        passes = 0
        # A pass that was cut short would go on in its thread, with a database that is closed.
        while not await self._stops_within(self._interval_seconds):
            try:
                await asyncio.to_thread(sweep_ended, self._engine, self._store)
                if passes % PASSES_PER_SEARCH == 0:
                    await asyncio.to_thread(sweep_orphans, self._engine, self._store)
            except (ArtifactsUnavailable, SQLAlchemyError) as error:
                logger.error("checkpoints were not swept; trying again: %s", error)
            passes += 1

    async def _stops_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()


def sweep_ended(engine: Engine, store: ArtifactStore) -> None:
    """Delete the checkpoints of jobs that have ended.

    Raises:
        ArtifactsUnavailable: not all could be deleted.
    """
    with read_session(engine) as session:
        ended = checkpoints_of_ended_jobs(session)
    for job_id, name in ended.items():
        store.delete(name)
        with write_session(engine) as session:
            forget_checkpoint(session, job_id)
        logger.info("checkpoint deleted", extra={"job_id": job_id})


def sweep_orphans(engine: Engine, store: ArtifactStore) -> None:
    """Delete files that are no job's, such as those of a server that was killed.

    Raises:
        ArtifactsUnavailable: not all could be deleted.
    """
    names = [name for name in store.names() if OURS.fullmatch(name)]
    # Asked after the files were listed: what has become a checkpoint since is in use.
    with read_session(engine) as session:
        in_use = files_in_use(session)
    for name in names:
        if name in in_use:
            continue
        # Somebody else may delete it meanwhile.
        with suppress(NotFound):
            if utc_now() - store.modified_at(name) > ORPHAN_AGE:
                store.delete(name)
                logger.info("deleted %s, which is no job's", name)
