"""Which experiments a board lists: those that somebody submitted, and not mere ablations.

An ablation's run counts for the noise of the board and for its own page, but it is nobody's
entry: it is neither judged nor ranked. Once somebody submits the same config, that submission's
run brings it onto the board with all its runs.
"""

from sqlmodel import Session, col, select

from server.tables import Run, RunPurpose


def listed_experiments(session: Session, key: str) -> set[str]:
    """Experiments with a result under a key from a run that is not an ablation's."""
    query = (
        select(Run.experiment_hash)
        .where(Run.comparability_key == key, col(Run.result).is_not(None))
        .where(Run.purpose != RunPurpose.ABLATION)
    )
    return set(session.exec(query.distinct()))


def was_queued(session: Session, experiment_hash: str) -> bool:
    """Whether an experiment has a run, whatever became of it."""
    runs = select(Run.id).where(Run.experiment_hash == experiment_hash)
    return session.exec(runs.limit(1)).first() is not None
