"""Whether what an untrusted worker measured counts: a trusted one must have measured the same.

Each run is compared for itself with those of trusted workers, by the noise of the latter alone: a
mean over several, or a noise that they had a share in, could hide a made-up one among them.
"""

from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet
from statistics import fmean
from typing import NamedTuple

from sqlmodel import Session, col, func, or_, select

from core.schema.job import JobState
from core.schema.ledger import LedgerKind
from core.schema.result import Verification
from server.ledger.entries import record
from server.tables import Experiment, Job, Run, Worker
from server.verdict.board_losses import trusted_losses
from server.verdict.difference import Side, difference
from server.verdict.noise import Noise, pooled_noise

CONFIDENCE = 0.99
"""Confidence of the interval by which a run agrees with those of trusted workers."""


class Finding(NamedTuple):
    """What trusted workers' runs say of another one's."""

    verification: Verification
    held_reason: str


def settle_verification(
    session: Session, key: str, experiments: AbstractSet[str]
) -> AbstractSet[str]:
    """Compare the runs of untrusted workers with those of trusted ones, on one board.

    Runs that disagree are held, and released once they agree after all.

    Returns:
        The experiments of which anything changed.
    """
    query = (
        select(Run, Job.worker_id, Experiment.track)
        .join(Job, col(Job.run_id) == col(Run.id))
        .join(Experiment, col(Experiment.hash) == col(Run.experiment_hash))
        .where(Run.comparability_key == key, Run.verification != Verification.TRUSTED)
        .where(col(Run.experiment_hash).in_(experiments))
        .where(or_(Run.held_reason == "", Run.verification == Verification.REFUTED))
        .order_by(col(Run.finished_at), col(Run.id))
    )
    rows = session.exec(query).all()
    if not rows:
        return frozenset()
    trusted = trusted_losses(session, key)
    noise = pooled_noise(list(trusted.values()))
    changed = set()
    for run, worker_id, track in rows:
        found = _compare(run, trusted.get(run.experiment_hash, []), noise)
        if found != (run.verification, run.held_reason):
            changed.add(run.experiment_hash)
            _put(session, run, found, worker_id or "", track)
    return changed


def unverified_experiments(session: Session, key: str, among: Collection[str] | None) -> set[str]:
    """Experiments with a counted run that no trusted worker has verified, among some or all."""
    query = select(Run.experiment_hash).where(
        Run.comparability_key == key,
        Run.verification == Verification.UNVERIFIED,
        Run.held_reason == "",
    )
    if among is not None:
        query = query.where(col(Run.experiment_hash).in_(among))
    return set(session.exec(query.distinct()))


def has_trusted_worker(session: Session) -> bool:
    """Whether there is anybody to verify what others measured."""
    workers = select(Worker.id).where(col(Worker.is_trusted))
    return session.exec(workers.limit(1)).first() is not None


def is_being_confirmed(session: Session, experiment_hash: str, key: str) -> bool:
    """Whether a trusted worker has measured an experiment on a board, or is about to."""
    measured = select(func.count()).where(
        Run.experiment_hash == experiment_hash,
        Run.comparability_key == key,
        Run.verification == Verification.TRUSTED,
        Run.held_reason == "",
    )
    waiting = select(func.count()).select_from(Job).join(Run, col(Run.id) == col(Job.run_id))
    waiting = waiting.where(
        Run.experiment_hash == experiment_hash,
        Job.only_key == key,
        col(Job.only_trusted),
        col(Job.state).in_((JobState.QUEUED, JobState.RUNNING)),
    )
    return session.exec(measured).one() + session.exec(waiting).one() > 0


def _compare(run: Run, trusted: Sequence[float], noise: Noise | None) -> Finding:
    if run.val_loss is None or not trusted or noise is None:
        return Finding(Verification.UNVERIFIED, "")
    one = Side.of("the run's loss", [run.val_loss], noise)
    others = Side.of("the trusted workers' losses", trusted, noise)
    found = difference(one, others, noise, CONFIDENCE)
    if found.low <= 0 <= found.high:
        return Finding(Verification.VERIFIED, "")
    runs = "1 run" if len(trusted) == 1 else f"{len(trusted)} runs"
    reason = (
        f"Trusted workers measured {fmean(trusted):.4f} in {runs} of the same config; "
        f"{run.val_loss:.4f} differs from it by more than the noise of the board explains at 99 %."
    )
    return Finding(Verification.REFUTED, reason)


def _put(session: Session, run: Run, found: Finding, worker_id: str, track: str) -> None:
    """Keep a finding; the ledger tells of each run that is held or released by it."""
    was_held = bool(run.held_reason)
    run.verification, run.held_reason = found
    session.add(run)
    session.flush()
    if was_held != bool(found.held_reason):
        state = "released" if was_held else "held"
        contents = {"state": state, "track": track, "reason": found.held_reason}
        record(session, LedgerKind.WORKER, worker_id, {**contents, "runs": [run.id]})
