"""Which workers are not trusted at present."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Select, bindparam
from sqlalchemy import select as select_columns
from sqlmodel import Session, col, select

from server.canary.tables import WorkerFreeze
from server.tables import table_of

FREEZE = table_of(WorkerFreeze)
STANDING = select(WorkerFreeze).where(
    WorkerFreeze.worker_id == bindparam("worker_id"), col(WorkerFreeze.thawed_at).is_(None)
)

REASON = select_columns(FREEZE.c.reason).where(
    FREEZE.c.worker_id == bindparam("worker_id"),
    FREEZE.c.track == bindparam("track"),
    FREEZE.c.thawed_at.is_(None),
)


def freeze_reason(session: Session, worker_id: str, track: str) -> str:
    """Why a worker is frozen on a track at present; empty if it is not."""
    asked = {"worker_id": worker_id, "track": track}
    return session.connection().execute(REASON, asked).scalars().first() or ""


def frozen_tracks(worker_id: ColumnElement[str]) -> Select[tuple[str]]:
    """The tracks on which a worker is frozen, for use in another statement."""
    lasting = FREEZE.c.thawed_at.is_(None)
    return select_columns(FREEZE.c.track).where(FREEZE.c.worker_id == worker_id, lasting)


def standing_freezes(session: Session, worker_id: str) -> Sequence[WorkerFreeze]:
    """The freezes of a worker that last, at most one a track."""
    return session.exec(STANDING, params={"worker_id": worker_id}).all()


def standing_freeze(session: Session, worker_id: str, track: str) -> WorkerFreeze | None:
    """The freeze of a worker on a track, if one lasts."""
    found = standing_freezes(session, worker_id)
    return next((freeze for freeze in found if freeze.track == track), None)
