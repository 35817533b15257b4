"""Submissions as readers of the API see them."""

from pydantic import AwareDatetime
from sqlmodel import Session, col, func, select

from core.schema.base import Message
from core.schema.experiment import ExperimentConfig
from core.schema.job import JobState, RunStatus
from core.schema.overrides import Change, differences
from core.schema.track import Track
from server.experiments import first_of_experiment, stored_config
from server.runs import run_status
from server.submissions import find_submission
from server.tables import Experiment, Job, Run, SubmissionRow
from server.verdict.view import (
    ExperimentVerdict,
    WithdrawnNote,
    experiment_verdict,
    withdrawal_of,
)


class SubmissionSummary(Message):
    """A submission in a list."""

    submission_id: str
    """Id."""
    name: str
    """Name."""
    author: str
    """Author."""
    track: str
    """Track name."""
    experiment_hash: str
    """Identity of the experiment."""
    run_id: str
    """The run that it asked for."""
    state: JobState
    """State of that run."""
    val_loss: float | None
    """That run's validation loss, in nats, once it succeeded."""
    cost_usd: float | None
    """Its cost; None if the device is not listed."""
    created_at: AwareDatetime
    """When it was accepted."""


class SubmissionList(Message):
    """A part of all submissions."""

    total: int
    """Submissions that there are, on the track if one was asked for."""
    submissions: tuple[SubmissionSummary, ...]
    """The newest first."""


class SubmissionDetail(Message):
    """A submission, what it resolved to, and where its run stands."""

    submission_id: str
    """Id."""
    name: str
    """Name."""
    author: str
    """Author."""
    hypothesis: str
    """What the author expected, and why."""
    track: str
    """Track name."""
    built_on: str | None
    """The submission that it starts from; None for the track's baseline."""
    duplicate_of: str | None
    """The first submission of an equal experiment, if this is not it."""
    experiment_hash: str
    """Identity of the experiment."""
    changes: tuple[Change, ...] | None
    """What differs from the track's baseline; None if the track is no longer served."""
    config: ExperimentConfig
    """Every setting."""
    run: RunStatus
    """The run that it asked for."""
    run_ids: tuple[str, ...]
    """All runs of the experiment, in order of seeds."""
    verdict: ExperimentVerdict | None
    """On the experiment, against the baseline, under the key of its newest result; None while
    there is none."""
    withdrawn: WithdrawnNote | None
    """Why it does not count, if its author took it back."""
    created_at: AwareDatetime
    """When it was accepted."""


def list_submissions(
    session: Session, track: str | None, limit: int, offset: int
) -> SubmissionList:
    """Submissions of a track, or of all, the newest first."""
    count = select(func.count()).select_from(SubmissionRow)
    query = (
        select(SubmissionRow, Run, Job)
        .join(Run, col(Run.id) == col(SubmissionRow.run_id))
        .join(Job, col(Job.run_id) == col(Run.id))
        .order_by(col(SubmissionRow.created_at).desc(), col(SubmissionRow.id))
    )
    if track is not None:
        count = count.where(SubmissionRow.track == track)
        query = query.where(SubmissionRow.track == track)
    rows = session.exec(query.limit(limit).offset(offset)).all()
    return SubmissionList(
        total=session.exec(count).one(),
        submissions=tuple(_summary(row, run, job.state) for row, run, job in rows),
    )


def submission_detail(
    session: Session, submission_id: str, track: Track | None, base_url: str
) -> SubmissionDetail:
    """One submission; `track` is its track, if this server serves it.

    Raises:
        NotFound: there is no such submission.
    """
    row = find_submission(session, submission_id)
    config = stored_config(session.get_one(Experiment, row.experiment_hash))
    first = first_of_experiment(session, row.experiment_hash)
    runs = select(Run.id).where(Run.experiment_hash == row.experiment_hash)
    return SubmissionDetail(
        submission_id=row.id,
        duplicate_of=first.id if first and first.id != row.id else None,
        changes=differences(track.base, config) if track else None,
        config=config,
        run=run_status(session, row.run_id, base_url),
        run_ids=tuple(session.exec(runs.order_by(col(Run.seed), col(Run.id)))),
        verdict=experiment_verdict(session, row.experiment_hash),
        withdrawn=withdrawal_of(session, row.id),
        **row.model_dump(exclude={"id", "run_id", "yaml", "idempotency_key"}),
    )


def _summary(row: SubmissionRow, run: Run, state: JobState) -> SubmissionSummary:
    return SubmissionSummary(
        submission_id=row.id,
        name=row.name,
        author=row.author,
        track=row.track,
        experiment_hash=row.experiment_hash,
        run_id=row.run_id,
        state=state,
        val_loss=run.val_loss,
        cost_usd=run.cost_usd,
        created_at=row.created_at,
    )
