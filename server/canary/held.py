"""Results that are held: kept and shown, and left out of verdicts."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlmodel import Session, col, select

from core.schema.result import RunResult
from core.schema.track import Track
from server.canary.setup import setup_of
from server.tables import Experiment, Job, Run, RunPurpose
from server.verdict.judging import judge_anew


def hold_results(
    session: Session, worker_id: str, track: str, since: datetime, reason: str
) -> Sequence[Run]:
    """Hold what a worker measured on a track after a moment."""
    runs = [
        run
        for run in _results(session, worker_id, track)
        if run.finished_at is not None and run.finished_at > since and not run.held_reason
    ]
    for run in runs:
        run.held_reason = reason
        session.add(run)
    session.flush()
    return runs


def release_results(session: Session, worker_id: str, track: str, setup: str) -> Sequence[Run]:
    """Let held results of a worker count again.

    Those of another device, driver or PyTorch than `setup` stay held: that this one is in order
    says nothing of them.
    """
    released = []
    for run in _results(session, worker_id, track):
        if run.held_reason and run.result is not None:
            own = setup_of(RunResult.model_validate(run.result))
            if own == setup:
                run.held_reason = ""
                released.append(run)
            else:
                run.held_reason = f"Measured with {own}, before the worker had {setup}."
            session.add(run)
    session.flush()
    return released


def judge_boards(session: Session, runs: Iterable[Run], track: Track, queues_runs: bool) -> None:
    """Judge the experiments of some runs anew, on every board that has one of them."""
    boards: dict[str, set[str]] = {}
    for run in runs:
        if run.comparability_key is not None:
            boards.setdefault(run.comparability_key, set()).add(run.experiment_hash)
    for key, experiments in boards.items():
        judge_anew(session, track, key, experiments, queues_runs)


def _results(session: Session, worker_id: str, track: str) -> Sequence[Run]:
    """Everything on boards of a track that a worker measured, in order."""
    query = (
        select(Run)
        .join(Job, col(Job.run_id) == col(Run.id))
        .join(Experiment, col(Experiment.hash) == col(Run.experiment_hash))
        .where(Job.worker_id == worker_id, Experiment.track == track)
        .where(Run.purpose != RunPurpose.CANARY, col(Run.comparability_key).is_not(None))
        .order_by(col(Run.finished_at), col(Run.id))
    )
    return session.exec(query).all()
