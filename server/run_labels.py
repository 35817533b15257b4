"""What runs are called: after the submission that asked for them, or their experiment's first."""

from collections.abc import Sequence

from sqlalchemy import select as select_columns
from sqlmodel import Session, col, select

from core.schema.base import Message
from server.idle.names import ASKED, named_experiments
from server.idle.tables import Ablation
from server.tables import Run, RunPurpose, table_of


class Label(Message):
    """A name to show, and the page that it leads to."""

    submission_id: str | None
    """Id; None if nobody submitted it, as with a baseline that comes with the project."""
    name: str
    """Name."""
    author: str
    """Author."""


_NAMED = named_experiments(ASKED)
OWN_LABELS = select_columns(*_NAMED.c).order_by(_NAMED.c.created_at, _NAMED.c.submission_id)
"""Who stands behind the experiments asked for, the first to submit them first."""
RUN, ABLATION = table_of(Run), table_of(Ablation)
_PARENT = named_experiments(
    select(Ablation.experiment_hash).where(col(Ablation.variant_hash).in_(ASKED))
)
ABLATION_LABELS = (
    select_columns(
        RUN.c.id, ABLATION.c.path, _PARENT.c.submission_id, _PARENT.c.name, _PARENT.c.author
    )
    .join(ABLATION, ABLATION.c.variant_hash == RUN.c.experiment_hash)
    .join(_PARENT, _PARENT.c.experiment_hash == ABLATION.c.experiment_hash)
    .where(RUN.c.purpose == RunPurpose.ABLATION, RUN.c.experiment_hash.in_(ASKED))
    .order_by(ABLATION.c.created_at, _PARENT.c.created_at, _PARENT.c.submission_id)
)
"""The ablations among the runs of the experiments asked for."""

PROJECT = Label(submission_id=None, name="Baseline", author="project")
"""What nobody submitted: the base config of a track."""


def run_labels(session: Session, runs: Sequence[Run]) -> dict[str, Label]:
    """The label of each run, by the run's id."""
    labels = known_labels(session, list({run.experiment_hash for run in runs}))
    return {run.id: labels.get(run.id) or labels.get(run.experiment_hash, PROJECT) for run in runs}


def known_labels(session: Session, experiments: Sequence[str]) -> dict[str, Label]:
    """The labels of some experiments, and of those of their runs that have their own.

    An experiment, by its hash, goes by the first submission of it, or rebased onto it. A run, by
    its id, goes by the submission that asked for it, or by the setting that it leaves out.
    """
    labels: dict[str, Label] = {}
    session.flush()
    connection, asked = session.connection(), {"experiments": experiments}
    for row in connection.execute(OWN_LABELS, asked):
        label = Label(submission_id=row.submission_id, name=row.name, author=row.author)
        labels.setdefault(row.experiment_hash, label)
        if row.run_id is not None:
            labels.setdefault(row.run_id, label)
    for run_id, path, submission_id, name, author in connection.execute(ABLATION_LABELS, asked):
        label = Label(submission_id=submission_id, name=f"{name} without {path}", author=author)
        labels.setdefault(run_id, label)
    return labels
