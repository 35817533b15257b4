"""What the ledger tells of one submission: of itself, its experiment, and that one's runs."""

from sqlmodel import Session, col, select

from core.schema.base import Message
from core.schema.ledger import LedgerEntry
from server.ledger.entries import newest_of
from server.tables import Job, Run, RunPurpose, SubmissionRow

MAX_ENTRIES = 50


class SubmissionHistory(Message):
    """The newest entries that tell of a submission."""

    submission_id: str
    """Id."""
    entries: tuple[LedgerEntry, ...]
    """At most 50, the newest first."""


def submission_history(session: Session, submission: SubmissionRow) -> SubmissionHistory:
    """The newest entries on a submission, its experiment, the runs of that and their jobs."""
    identity = submission.experiment_hash
    subjects = {submission.id, identity} | _runs_and_jobs(session, identity)
    entries = newest_of(session, subjects, MAX_ENTRIES)
    return SubmissionHistory(submission_id=submission.id, entries=entries)


def _runs_and_jobs(session: Session, experiment_hash: str) -> set[str]:
    """Ids; a run that came with the project has no job, and canaries tell of their worker."""
    query = select(Run.id, Job.id).outerjoin(Job, col(Job.run_id) == col(Run.id))
    query = query.where(Run.experiment_hash == experiment_hash)
    query = query.where(Run.purpose != RunPurpose.CANARY)
    return {found for ids in session.exec(query) for found in ids if found is not None}
