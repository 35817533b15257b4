"""Which data each worker has, told by what it measured last."""

from sqlalchemy import ColumnElement, ScalarSelect, bindparam, func, select
from sqlmodel import Session

from server.canary.tables import CanaryRow
from server.tables import Job, Run, table_of

EARLIER = table_of(Job).alias("earlier")
RUN = table_of(Run)
CANARY = table_of(CanaryRow)


def newest_key(
    worker_id: ColumnElement[str], track: ColumnElement[str], version: ColumnElement[int]
) -> ScalarSelect[str]:
    """The key of a worker's newest result on a version of a track, canaries among them.

    It is null where the worker has no result: nobody knows yet which data it has there.
    """
    key = func.coalesce(RUN.c.comparability_key, CANARY.c.comparability_key)
    results = (
        select(key)
        .select_from(EARLIER)
        .join(RUN, RUN.c.id == EARLIER.c.run_id)
        .outerjoin(CANARY, CANARY.c.run_id == RUN.c.id)
        .where(EARLIER.c.worker_id == worker_id, EARLIER.c.track == track)
        .where(EARLIER.c.track_version == version, key.is_not(None))
    )
    newest = results.order_by(EARLIER.c.finished_at.desc(), EARLIER.c.run_id).limit(1)
    return newest.scalar_subquery()


KEY_OF_WORKER = select(
    newest_key(
        bindparam("worker_id", type_=EARLIER.c.worker_id.type),
        bindparam("track", type_=EARLIER.c.track.type),
        bindparam("version", type_=EARLIER.c.track_version.type),
    )
)


def worker_key(session: Session, worker_id: str, track: str, version: int) -> str | None:
    """The key of a worker's newest result on a version of a track; None if it has none there."""
    session.flush()
    asked = {"worker_id": worker_id, "track": track, "version": version}
    key: str | None = session.connection().execute(KEY_OF_WORKER, asked).scalar_one()
    return key
