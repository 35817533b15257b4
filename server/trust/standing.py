"""Which workers are trusted: all on an open server, elsewhere those that a maintainer marked."""

from sqlalchemy import update
from sqlmodel import Session, col, select

from server.access.tables import WorkerToken
from server.settings import Access
from server.tables import Worker


def settle_standing(session: Session, worker: Worker, access: Access) -> None:
    """Note whether a worker that registers is trusted.

    The mark goes with the token that the worker belongs to, so that whoever takes the name of a
    worker without one gets no trust with it.
    """
    bound = session.get(WorkerToken, worker.id)
    is_marked = bound is not None and bound.trusted_by != ""
    worker.is_trusted = access is Access.OPEN or is_marked
    session.flush()


def settle_standings(session: Session, access: Access) -> None:
    """Note the same of all workers, for the server's start: it may ask for tokens only now."""
    if access is Access.OPEN:
        session.exec(update(Worker).values(is_trusted=True))
    else:
        marked = select(WorkerToken.worker_id).where(WorkerToken.trusted_by != "")
        session.exec(update(Worker).values(is_trusted=col(Worker.id).in_(marked)))
