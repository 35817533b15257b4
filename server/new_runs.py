"""One more run of an experiment, queued."""

from pydantic import JsonValue
from sqlmodel import Session, col, func, or_, select

from core.estimate.memory import peak_memory
from core.schema.job import JobState
from core.schema.ledger import LedgerKind
from core.schema.track import TrackRules
from server.experiments import stored_config
from server.identifiers import new_id
from server.job_queue import enqueue
from server.ledger.entries import record
from server.quota.book import payer
from server.quota.check import expected_seconds
from server.tables import Experiment, Job, Priority, Run, RunPurpose

PRIORITIES = {
    RunPurpose.SUBMISSION: Priority.NEW,
    RunPurpose.BASELINE: Priority.CONFIRM,
    RunPurpose.VERDICT: Priority.CONFIRM,
    RunPurpose.CONFIRMATION: Priority.CONFIRM,
    RunPurpose.RERUN: Priority.RERUN,
    RunPurpose.CANARY: Priority.CANARY,
    RunPurpose.ABLATION: Priority.IDLE,
    RunPurpose.REBASE: Priority.IDLE,
}


def queue_run(
    session: Session,
    experiment: Experiment,
    rules: TrackRules,
    purpose: RunPurpose,
    requested_by: str = "",
    only_key: str | None = None,
    only_trusted: bool = False,
) -> Run:
    """Queue a run with the next of the track's seeds.

    Args:
        experiment: its row, locked against a second taker of seeds.
        requested_by: the author who asked for it; nobody where the server did.
        only_key: the comparability key that waits for it; None if any result is welcome.
        only_trusted: whether only a trusted worker may have it.
    """
    seed = _next_seed(session, experiment.hash, rules)
    return queue_seed(
        session,
        experiment,
        rules,
        seed,
        purpose,
        requested_by,
        only_key=only_key,
        only_trusted=only_trusted,
    )


def queue_seed(
    session: Session,
    experiment: Experiment,
    rules: TrackRules,
    seed: int,
    purpose: RunPurpose,
    requested_by: str = "",
    only_worker_id: str | None = None,
    only_key: str | None = None,
    only_trusted: bool = False,
) -> Run:
    """Queue a run with a given seed.

    Args:
        only_worker_id: the one worker that may have it; None for any.
        only_key: the comparability key that waits for it; None if any result is welcome.
        only_trusted: whether only a trusted worker may have it.
    """
    run = Run.model_validate(
        {
            "id": new_id("r"),
            "experiment_hash": experiment.hash,
            "seed": seed,
            "origin": "canary" if purpose is RunPurpose.CANARY else "worker",
            "purpose": purpose,
            "requested_by": requested_by,
        }
    )
    session.add(run)
    session.flush()
    config, charged_to = stored_config(experiment), payer(purpose, requested_by)
    enqueue(
        session,
        run,
        needs_cuda=rules.device == "cuda",
        memory_bytes=int(peak_memory(config).total),
        priority=PRIORITIES[purpose],
        only_worker_id=only_worker_id,
        only_key=only_key,
        only_trusted=only_trusted,
        charged_to=charged_to,
        estimated_seconds=expected_seconds(config, rules) if charged_to else 0.0,
    )
    contents: dict[str, JsonValue] = {
        "experiment": experiment.hash,
        "seed": seed,
        "purpose": purpose.value,
        "requested_by": requested_by,
    }
    record(session, LedgerKind.RUN, run.id, contents)
    return run


def runs_under_way(session: Session, experiment_hash: str, key: str | None) -> int:
    """Runs of an experiment that are queued or running and may bring a board a result.

    Those that another board waits for do not, and canaries tell nothing of it.
    """
    states = (JobState.QUEUED, JobState.RUNNING)
    query = select(func.count()).select_from(Job).join(Run, col(Run.id) == col(Job.run_id))
    query = query.where(Run.experiment_hash == experiment_hash, col(Job.state).in_(states))
    query = query.where(Run.purpose != RunPurpose.CANARY)
    query = query.where(or_(col(Job.only_key).is_(None), col(Job.only_key) == key))
    return session.exec(query).one()


def _next_seed(session: Session, experiment_hash: str, rules: TrackRules) -> int:
    """The first of the track's seeds that no run of the experiment has, whatever became of it.

    A canary takes no seed away.
    """
    runs = select(Run.seed).where(Run.experiment_hash == experiment_hash)
    runs = runs.where(Run.purpose != RunPurpose.CANARY)
    taken = set(session.exec(runs).all())
    return next(seed for n in range(len(taken) + 1) if (seed := rules.seed(n)) not in taken)
