"""Who stands behind an experiment: who submitted it, and whose submission was rebased onto it."""

from collections.abc import Sequence

from sqlalchemy import BindParameter, Subquery, bindparam, null, union_all
from sqlmodel import col, select
from sqlmodel.sql.expression import SelectOfScalar

from server.idle.tables import Rebase, RebaseOutcome
from server.tables import SubmissionRow

ASKED: BindParameter[str] = bindparam("experiments", expanding=True)
"""Hashes of experiments, in statements that are built once and given them when they are sent."""


def named_experiments(
    experiments: Sequence[str] | SelectOfScalar[str] | BindParameter[str] | None = None,
) -> Subquery:
    """Every pair of an experiment and a submission that stands behind it.

    Args:
        experiments: hashes of those that are asked about; None for all. SQLite reads all rows of a
            union that is filtered from without.

    Columns: `experiment_hash`, `submission_id`, `run_id` (the run that the submission asked for,
    null for a rebased one), `name`, `author`, `track` and `created_at` of the submission.
    """
    described = (
        col(SubmissionRow.name),
        col(SubmissionRow.author),
        col(SubmissionRow.track),
        col(SubmissionRow.created_at),
    )
    submitted = select(  # type: ignore[call-overload]
        SubmissionRow.experiment_hash,
        col(SubmissionRow.id).label("submission_id"),
        SubmissionRow.run_id,
        *described,
    )
    rebased = (
        select(  # type: ignore[call-overload]
            Rebase.experiment_hash, Rebase.submission_id, null().label("run_id"), *described
        )
        .join(SubmissionRow, col(SubmissionRow.id) == col(Rebase.submission_id))
        .where(Rebase.outcome == RebaseOutcome.EXPERIMENT)
    )
    if experiments is not None:
        submitted = submitted.where(col(SubmissionRow.experiment_hash).in_(experiments))
        rebased = rebased.where(col(Rebase.experiment_hash).in_(experiments))
    return union_all(submitted, rebased).subquery("named")
