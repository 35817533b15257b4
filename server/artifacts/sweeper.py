"""The background task that deletes checkpoints which nobody will go on from."""

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
from server.background_pass import BackgroundPass
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
        self._num_passes = 0
        self._passes = BackgroundPass("sweeper", interval_seconds, self._pass)

    def start(self) -> None:
        """Begin, in the running event loop."""
        self._passes.start(_log_end)

    async def stop(self) -> None:
        """End, and wait until a pass under way is done."""
        await self._passes.stop()

    def _pass(self) -> None:
        try:
            sweep_ended(self._engine, self._store)
            if self._num_passes % PASSES_PER_SEARCH == 0:
                sweep_orphans(self._engine, self._store)
        except (ArtifactsUnavailable, SQLAlchemyError) as error:
            logger.error("checkpoints were not swept; trying again: %s", error)
        self._num_passes += 1


def _log_end(error: BaseException | None) -> None:
    if error is not None:
        logger.critical("the sweeper died: checkpoints are no longer deleted", exc_info=error)


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
