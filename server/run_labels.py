"""What runs are called: after the submission that asked for them, or their experiment's first."""

from collections.abc import Sequence

from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from core.schema.base import Message
from server.idle.names import named_experiments
from server.idle.tables import Ablation
from server.tables import Run, RunPurpose


class Label(Message):
    """A name to show, and the page that it leads to."""

    submission_id: str | None
    """Id; None if nobody submitted it, as with a baseline that comes with the project."""
    name: str
    """Name."""
    author: str
    """Author."""


PROJECT = Label(submission_id=None, name="Baseline", author="project")
"""What nobody submitted: the base config of a track."""


def run_labels(session: Session, runs: Sequence[Run]) -> dict[str, Label]:
    """The label of each run, by the run's id."""
    labels = known_labels(session, list({run.experiment_hash for run in runs}))
    return {run.id: labels.get(run.id) or labels.get(run.experiment_hash, PROJECT) for run in runs}


def known_labels(
    session: Session, experiments: Sequence[str] | SelectOfScalar[str]
) -> dict[str, Label]:
    """The labels of some experiments, and of those of their runs that have their own.

    An experiment, by its hash, goes by the first submission of it, or rebased onto it. A run, by
    its id, goes by the submission that asked for it, or by the setting that it leaves out.
    """
    labels: dict[str, Label] = {}
    named = named_experiments(experiments)
    chosen = select(*named.c)
    for row in session.exec(chosen.order_by(named.c.created_at, named.c.submission_id)):
        label = Label(submission_id=row.submission_id, name=row.name, author=row.author)
        labels.setdefault(row.experiment_hash, label)
        if row.run_id is not None:
            labels.setdefault(row.run_id, label)
    parents = select(Ablation.experiment_hash).where(col(Ablation.variant_hash).in_(experiments))
    named = named_experiments(parents)
    whole = (
        select(  # type: ignore[call-overload]
            Run.id, Ablation.path, named.c.submission_id, named.c.name, named.c.author
        )
        .join(Ablation, col(Ablation.variant_hash) == col(Run.experiment_hash))
        .join(named, named.c.experiment_hash == col(Ablation.experiment_hash))
        .where(Run.purpose == RunPurpose.ABLATION)
        .where(col(Run.experiment_hash).in_(experiments))
        .order_by(col(Ablation.created_at), named.c.created_at, named.c.submission_id)
    )
    for run_id, path, submission_id, name, author in session.exec(whole):
        label = Label(submission_id=submission_id, name=f"{name} without {path}", author=author)
        labels.setdefault(run_id, label)
    return labels
