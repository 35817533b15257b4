"""Runs of the baseline that one worker is asked for."""

from sqlmodel import Session, select

from core.schema.canonical import experiment_hash
from core.schema.track import Track
from server.canary.tables import CanaryRow, WorkerFreeze
from server.experiments import ensure_experiment
from server.new_runs import queue_seed
from server.tables import Experiment, Run, RunPurpose, Worker, utc_now
from server.verdict.judge import MIN_BASELINE_RUNS


def ask_for_canary(session: Session, worker: Worker, track: Track) -> None:
    """Queue the fixed run: the baseline with the track's first seed."""
    _ask(session, worker, track, _baseline(session, track), track.rules.seed(0))


def ask_for_baseline(session: Session, worker: Worker, track: Track, freeze: WorkerFreeze) -> None:
    """Queue the runs that may end a freeze: the baseline, with seeds that nobody has run yet."""
    baseline = _baseline(session, track)
    taken = set(session.exec(select(Run.seed).where(Run.experiment_hash == baseline.hash)))
    seeds = (track.rules.seed(n) for n in range(len(taken) + MIN_BASELINE_RUNS))
    freeze.asked_at, freeze.outcome = utc_now(), ""
    session.add(freeze)
    for seed in [seed for seed in seeds if seed not in taken][:MIN_BASELINE_RUNS]:
        _ask(session, worker, track, baseline, seed, freeze.id)


def _baseline(session: Session, track: Track) -> Experiment:
    rules = track.rules
    identity = experiment_hash(rules.name, rules.version, track.base)
    return ensure_experiment(session, identity, track, track.base)


def _ask(
    session: Session,
    worker: Worker,
    track: Track,
    baseline: Experiment,
    seed: int,
    freeze_id: int | None = None,
) -> None:
    purpose = RunPurpose.CANARY
    run = queue_seed(session, baseline, track.rules, seed, purpose, only_worker_id=worker.id)
    row = {
        "run_id": run.id,
        "worker_id": worker.id,
        "track": track.rules.name,
        "device": worker.device,
        "freeze_id": freeze_id,
        "asked_at": run.created_at,
    }
    session.add(CanaryRow.model_validate(row))
    session.flush()
