"""A maintainer marks a worker as trusted, or takes the mark back."""

import logging
from collections.abc import Mapping, Sequence

from pydantic import JsonValue
from sqlmodel import Session, col, or_, select

from core.schema.access import TrustRequest, WorkerTrust
from core.schema.ledger import LedgerKind
from core.schema.result import Verification
from core.schema.track import Track
from server.access.tables import WorkerToken
from server.errors import NotFound, NotMarkable
from server.ledger.entries import record, take_turn
from server.settings import Access, ServerSettings
from server.tables import Experiment, Job, Run, RunPurpose, Worker
from server.verdict.judging import judge_anew

logger = logging.getLogger(__name__)


def mark_worker(
    session: Session,
    request: TrustRequest,
    by: str,
    tracks: Mapping[str, Track],
    settings: ServerSettings,
) -> WorkerTrust:
    """Trust a worker or no longer, with everything that it has measured. Repeats change nothing.

    Args:
        by: the maintainer, for the ledger.

    Raises:
        NotFound: there is no worker of that name.
        NotMarkable: the server trusts everybody, or the worker belongs to no token.
    """
    worker = _markable_worker(session, request, settings)
    bound = session.get(WorkerToken, worker.id, with_for_update=True)
    take_turn(session)
    was_marked = bound is not None and bound.trusted_by != ""
    if bound is not None and was_marked != request.trusted:
        bound.trusted_by = by if request.trusted else ""
        session.add(bound)
    worker.is_trusted = request.trusted
    changed = _mark_results(session, worker, request.trusted)
    if changed or was_marked != request.trusted:
        state = "trusted" if request.trusted else "distrusted"
        contents: dict[str, JsonValue] = {"state": state, "by": by, "results": len(changed)}
        record(session, LedgerKind.WORKER, worker.id, contents)
        _judge_boards(session, changed, tracks, settings.queues_runs)
        logger.info("worker marked", extra={"worker_id": worker.id, "state": state})
    return WorkerTrust(
        worker_id=worker.id,
        worker=worker.name,
        trusted=worker.is_trusted,
        num_results=len(changed),
    )


def _markable_worker(session: Session, request: TrustRequest, settings: ServerSettings) -> Worker:
    if settings.access is Access.OPEN:
        raise NotMarkable(
            "this server is open, so that every worker counts as trusted; workers are told apart "
            "where FIVE_DOLLAR_ACCESS is `tokens`."
        )
    named = select(Worker).where(Worker.name == request.worker).with_for_update()
    worker = session.exec(named).one_or_none()
    if worker is None:
        raise NotFound(
            f"there is no worker named {request.worker!r}; the queue's page lists all of them."
        )
    if request.trusted and session.get(WorkerToken, worker.id) is None:
        raise NotMarkable(
            f"worker {request.worker!r} belongs to no token yet, so that anybody could take its "
            "name; start it with a token first."
        )
    return worker


def _mark_results(session: Session, worker: Worker, trusted: bool) -> Sequence[str]:
    """Let all that a worker measured be a trusted worker's, or no longer; the runs' ids."""
    query = select(Run).join(Job, col(Job.run_id) == col(Run.id))
    query = query.where(Job.worker_id == worker.id, Run.purpose != RunPurpose.CANARY)
    query = query.where(col(Run.comparability_key).is_not(None))
    is_trusted = col(Run.verification) == Verification.TRUSTED
    runs = session.exec(query.where(~is_trusted if trusted else is_trusted)).all()
    released: list[JsonValue] = []
    for run in runs:
        if run.verification is Verification.REFUTED:
            run.held_reason = ""
            released.append(run.id)
        run.verification = Verification.TRUSTED if trusted else Verification.UNVERIFIED
        session.add(run)
    session.flush()
    if released:
        contents: dict[str, JsonValue] = {"state": "released", "reason": "", "runs": released}
        record(session, LedgerKind.WORKER, worker.id, contents)
    return [run.id for run in runs]


def _judge_boards(
    session: Session, changed: Sequence[str], tracks: Mapping[str, Track], queues_runs: bool
) -> None:
    """Judge what changed anew, and what has waited for somebody to verify it."""
    waits = (col(Run.verification) == Verification.UNVERIFIED) & (Run.held_reason == "")
    query = (
        select(Experiment.track, Experiment.track_version, Run.comparability_key, Experiment.hash)
        .join(Run, col(Run.experiment_hash) == col(Experiment.hash))
        .where(col(Run.comparability_key).is_not(None))
        .where(or_(col(Run.id).in_(changed), waits))
    )
    boards: dict[tuple[str, str], set[str]] = {}
    for name, version, key, experiment_hash in session.exec(query):
        track = tracks.get(name)
        if track is not None and version == track.rules.version:
            boards.setdefault((name, str(key)), set()).add(experiment_hash)
    for (name, key), experiments in sorted(boards.items()):
        judge_anew(session, tracks[name], key, experiments, queues_runs)
