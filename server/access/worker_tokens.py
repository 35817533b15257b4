"""Which token a worker belongs to: only its holder claims and reports under the worker's name."""

from sqlmodel import Session, col, select

from server.access.caller import Caller
from server.access.tables import AccessToken, WorkerToken
from server.errors import NotYourWorker
from server.tables import Attempt, Worker, utc_now


def bind(session: Session, worker: Worker, caller: Caller) -> None:
    """Let a worker that registers belong to the caller's token.

    A worker whose token has ended goes over to the next token of the same name.

    Raises:
        NotYourWorker: the worker's name belongs to another token.
    """
    if caller.is_anybody:
        return
    bound = session.get(WorkerToken, worker.id, with_for_update=True)
    if bound is None:
        row = {"worker_id": worker.id, "token_id": caller.token_id}
        session.add(WorkerToken.model_validate(row))
    elif bound.token_id != caller.token_id:
        owner = session.get_one(AccessToken, bound.token_id)
        if owner.name != caller.name or not owner.has_ended(utc_now()):
            raise NotYourWorker(
                f"the worker name {worker.name!r} belongs to another token; "
                "give this worker another name (`runner worker --name`)."
            )
        bound.token_id = caller.token_id
    session.flush()


def require_worker(session: Session, caller: Caller, worker_id: str) -> None:
    """Let nobody claim for a worker that another token registered.

    A worker that does not exist is no matter of this function.

    Raises:
        NotYourWorker: the worker belongs to another token, or to none.
    """
    if caller.is_anybody or session.get(Worker, worker_id) is None:
        return
    bound = session.get(WorkerToken, worker_id)
    if bound is None or bound.token_id != caller.token_id:
        raise NotYourWorker(
            f"worker {worker_id!r} was not registered with the token that was sent; "
            "register with POST /api/v1/workers first."
        )


def require_lease_holder(session: Session, caller: Caller, job_id: str, lease_token: str) -> None:
    """Let nobody report under a lease whose worker another token registered.

    A lease that does not exist is no matter of this function.

    Raises:
        NotYourWorker: the lease is of another token's worker, or of one without a token.
    """
    if caller.is_anybody:
        return
    query = (
        select(Attempt.worker_id, WorkerToken.token_id)
        .outerjoin(WorkerToken, col(WorkerToken.worker_id) == col(Attempt.worker_id))
        .where(Attempt.job_id == job_id, Attempt.lease_token == lease_token)
    )
    for worker_id, token_id in session.exec(query):
        if token_id != caller.token_id:
            raise NotYourWorker(
                f"job {job_id} is leased to worker {worker_id}, which was not registered with the "
                "token that was sent; nothing of this report was stored."
            )
