"""Taking in a canary's result: drift freezes its worker, agreement with the board thaws it."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlmodel import Session, col, select

from core.schema.result import RunResult
from core.schema.track import Track
from server.canary.chart import control_limits
from server.canary.freezes import freeze_worker, stay_frozen, thaw_worker
from server.canary.frozen import standing_freeze
from server.canary.setup import setup_of
from server.canary.tables import CanaryRow, WorkerFreeze
from server.tables import Experiment, Run, Worker, utc_now
from server.verdict.board_losses import baseline_losses, board_noise
from server.verdict.difference import Side, difference
from server.verdict.judge import MIN_BASELINE_RUNS

CONFIDENCE = 0.99
"""Confidence of the interval by which a worker's baseline agrees with the board's."""


def take_in(
    session: Session, run: Run, result: RunResult, tracks: Mapping[str, Track], queues_runs: bool
) -> None:
    """Take in the result of a canary.

    Args:
        queues_runs: whether runs that would settle verdicts are queued.
    """
    experiment = session.get_one(Experiment, run.experiment_hash)
    version = experiment.track_version
    row = session.get_one(CanaryRow, run.id)
    row.comparability_key = result.provenance.data.comparability_key(row.track, version)
    row.setup = setup_of(result)
    row.val_loss, row.tokens_per_second = result.val_loss, result.tokens_per_second
    row.relative_speed, row.finished_at = result.relative_speed, utc_now()
    session.add(row)
    session.flush()
    track = tracks.get(row.track)
    if track is None or version != track.rules.version:
        return
    if row.freeze_id is None:
        _look_for_drift(session, row, result.val_loss, track, queues_runs)
    else:
        freeze = session.get_one(WorkerFreeze, row.freeze_id)
        if freeze.thawed_at is None:
            _look_for_agreement(session, row, freeze, run.experiment_hash, track, queues_runs)


def _look_for_drift(
    session: Session, row: CanaryRow, loss: float, track: Track, queues_runs: bool
) -> None:
    key = str(row.comparability_key)
    earlier = _in_control(session, row)
    losses = [point.val_loss for point in earlier if point.val_loss is not None]
    limits = control_limits(losses, board_noise(session, key))
    if limits is None:
        return
    row.centre, row.deviation = limits.centre, limits.deviation
    row.is_out = not limits.hold(loss)
    session.add(row)
    if row.is_out and standing_freeze(session, row.worker_id, row.track) is None:
        reason = (
            f"A canary measured {loss:.4f}, outside of {limits.low:.4f} to {limits.high:.4f}, "
            "three deviations around the worker's earlier ones."
        )
        worker = session.get_one(Worker, row.worker_id)
        last = _finished_at(earlier[-1])
        freeze_worker(session, worker, track, reason, last, queues_runs)


def _in_control(session: Session, row: CanaryRow) -> Sequence[CanaryRow]:
    """The worker's earlier canaries that were in control, since it was last thawed."""
    thaws = select(WorkerFreeze.thawed_at).where(
        WorkerFreeze.worker_id == row.worker_id, WorkerFreeze.track == row.track
    )
    thaws = thaws.where(col(WorkerFreeze.thawed_at).is_not(None))
    thawed_at = session.exec(thaws.order_by(col(WorkerFreeze.thawed_at).desc()).limit(1)).first()
    query = select(CanaryRow).where(
        CanaryRow.worker_id == row.worker_id,
        CanaryRow.track == row.track,
        CanaryRow.comparability_key == row.comparability_key,
        CanaryRow.run_id != row.run_id,
        col(CanaryRow.freeze_id).is_(None),
        col(CanaryRow.finished_at).is_not(None),
        col(CanaryRow.is_out).is_(False),
    )
    if thawed_at is not None:
        query = query.where(col(CanaryRow.finished_at) > thawed_at)
    return session.exec(query.order_by(col(CanaryRow.finished_at))).all()


def _look_for_agreement(
    session: Session,
    row: CanaryRow,
    freeze: WorkerFreeze,
    baseline_hash: str,
    track: Track,
    queues_runs: bool,
) -> None:
    """Compare the baseline as the worker measured it anew with the board's, once all is in."""
    key = str(row.comparability_key)
    anew = _measured_anew(session, freeze, key)
    if len(anew) < MIN_BASELINE_RUNS:
        return
    board, noise = baseline_losses(session, baseline_hash, key), board_noise(session, key)
    if not board or noise is None:
        outcome = "The board has no other runs of the baseline that the new ones could be held to."
        stay_frozen(session, freeze, outcome)
        return
    sides = Side.of("the worker's losses", anew, noise), Side.of("the board's losses", board, noise)
    found = difference(*sides, noise, CONFIDENCE)
    agrees = found.low <= 0 <= found.high
    outcome = (
        f"Its baseline, measured anew, {'agrees with' if agrees else 'differs from'} the board's: "
        f"{sides[0].mean:.4f} in {len(anew)} runs against {sides[1].mean:.4f} in {len(board)}."
    )
    if agrees:
        thaw_worker(session, freeze, track, row.setup, outcome, queues_runs)
    else:
        stay_frozen(session, freeze, outcome)


def _measured_anew(session: Session, freeze: WorkerFreeze, key: str) -> list[float]:
    """Losses of the runs that were last asked for."""
    query = select(CanaryRow.val_loss).where(
        CanaryRow.freeze_id == freeze.id,
        CanaryRow.comparability_key == key,
        CanaryRow.asked_at >= freeze.asked_at,
    )
    return [loss for loss in session.exec(query) if loss is not None]


def _finished_at(row: CanaryRow) -> datetime:
    assert row.finished_at is not None
    return row.finished_at
