"""Which experiments a board lists: those that somebody submitted, and not mere ablations.

An ablation's run counts for the noise of the board and for its own page, but it is nobody's
entry: it is neither judged nor ranked. Once somebody submits the same config, that submission's
run brings it onto the board with all its runs.
"""

from collections.abc import Set as AbstractSet

from sqlalchemy import bindparam
from sqlalchemy import select as select_columns
from sqlmodel import Session, select

from server.tables import Run, RunPurpose, table_of

RUN = table_of(Run)
LISTED = (
    select_columns(RUN.c.experiment_hash)
    .where(RUN.c.comparability_key == bindparam("key"), RUN.c.result.is_not(None))
    .where(RUN.c.purpose != RunPurpose.ABLATION)
    .distinct()
)
LISTED_AMONG = LISTED.where(RUN.c.experiment_hash.in_(bindparam("among", expanding=True)))


def listed_experiments(
    session: Session, key: str, among: AbstractSet[str] | None = None
) -> set[str]:
    """Experiments with a result under a key from a run that is not an ablation's.

    Args:
        among: the experiments that are asked for; None for all.
    """
    session.flush()
    connection = session.connection()
    if among is None:
        return set(connection.execute(LISTED, {"key": key}).scalars())
    return set(connection.execute(LISTED_AMONG, {"key": key, "among": list(among)}).scalars())


def was_queued(session: Session, experiment_hash: str) -> bool:
    """Whether an experiment has a run, whatever became of it."""
    runs = select(Run.id).where(Run.experiment_hash == experiment_hash)
    return session.exec(runs.limit(1)).first() is not None
