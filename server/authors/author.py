"""One author: what they submitted, their records, and where their best stands on each track."""

from collections.abc import Mapping, Sequence

from pydantic import AwareDatetime
from sqlmodel import Session, col, select

from core.schema.base import Message
from core.schema.job import JobState
from core.schema.track import Track
from server.authors.owners import owned_experiments
from server.authors.ranks import best_ranks
from server.authors.totals import AuthorTotals, author_totals
from server.errors import NotFound
from server.run_labels import PROJECT, Label, known_labels
from server.tables import Experiment, Job, Run, SubmissionRow
from server.verdict.judge import Verdict
from server.verdict.tables import JudgementRow, RecordRow, Withdrawal

PER_PAGE = 50
"""Submissions on a page."""
MAX_RECORDS = 50
"""Records that are named, the newest ones."""


class AuthorRank(Label):
    """The best experiment of an author on a track."""

    track: str
    """Track name."""
    rank: int
    """On the board that the track shows by default."""
    num_ranked: int
    """Experiments that it ranks."""
    val_loss: float
    """Mean validation loss, in nats."""


class AuthorRecord(Label):
    """A record that an author's experiment set."""

    track: str
    """Track name."""
    key: str
    """Comparability key of the board."""
    val_loss: float
    """Mean validation loss when it was set, in nats."""
    set_at: AwareDatetime
    """When it was set."""
    lost_at: AwareDatetime | None
    """When it turned out to be none; None while it stands."""
    lost_reason: str
    """Why; empty while it stands."""


class AuthorSubmission(Message):
    """A submission, in short."""

    submission_id: str
    """Id."""
    name: str
    """Name."""
    track: str
    """Track name."""
    created_at: AwareDatetime
    """When it came."""
    state: JobState
    """How its own run stands."""
    val_loss: float | None
    """Validation loss of its own run, in nats; None without a result."""
    verdict: Verdict | None
    """The newest verdict of its experiment; None while there is none."""
    delta: float | None
    """Mean validation loss less the baseline's, by that verdict."""
    low: float | None
    """Lower end of the 99 % interval."""
    high: float | None
    """Upper end of the 99 % interval."""
    is_withdrawn: bool
    """Whether its author took it back."""


class AuthorView(Message):
    """An author, with a page of their submissions."""

    totals: AuthorTotals
    """The author in numbers."""
    ranks: tuple[AuthorRank, ...]
    """By track; those without a ranked experiment are missing."""
    records: tuple[AuthorRecord, ...]
    """The newest first, at most 50."""
    page: int
    """From 1."""
    has_next: bool
    """Whether older submissions follow on the next page."""
    submissions: tuple[AuthorSubmission, ...]
    """The newest first."""


def view_author(
    session: Session, tracks: Mapping[str, Track], name: str, page: int = 1
) -> AuthorView:
    """An author.

    Raises:
        NotFound: nobody of that name has submitted anything, or not so many pages.
    """
    totals = author_totals(session).get(name)
    if totals is None:
        raise NotFound(f"nobody called {name!r} has submitted anything; capitals count.")
    rows = _submissions(session, name, page)
    if page > 1 and not rows:
        raise NotFound(f"page {page} is past the end; {name} has {totals.num_submissions}.")
    return AuthorView(
        totals=totals,
        ranks=_ranks(session, tracks, name),
        records=_records(session, name),
        page=page,
        has_next=len(rows) > PER_PAGE,
        submissions=_in_short(session, rows[:PER_PAGE]),
    )


def _submissions(session: Session, name: str, page: int) -> Sequence[SubmissionRow]:
    """A page of submissions, and one more if there is one."""
    query = select(SubmissionRow).where(SubmissionRow.author == name)
    query = query.order_by(col(SubmissionRow.created_at).desc(), col(SubmissionRow.id))
    return session.exec(query.offset((page - 1) * PER_PAGE).limit(PER_PAGE + 1)).all()


def _ranks(session: Session, tracks: Mapping[str, Track], name: str) -> tuple[AuthorRank, ...]:
    best = {
        track: rank
        for track, rules in tracks.items()
        if (rank := best_ranks(session, rules).get(name)) is not None
    }
    labels = known_labels(session, [rank.experiment_hash for rank in best.values()])
    return tuple(
        AuthorRank(
            **labels.get(rank.experiment_hash, PROJECT).model_dump(),
            track=track,
            rank=rank.rank,
            num_ranked=rank.num_ranked,
            val_loss=rank.val_loss,
        )
        for track, rank in best.items()
    )


def _records(session: Session, name: str) -> tuple[AuthorRecord, ...]:
    owned = owned_experiments(select(RecordRow.experiment_hash))
    query = (
        select(RecordRow, Experiment.track)
        .join(Experiment, col(Experiment.hash) == col(RecordRow.experiment_hash))
        .join(owned, owned.c.experiment_hash == col(RecordRow.experiment_hash))
        .where(owned.c.author == name)
        .order_by(col(RecordRow.id).desc())
        .limit(MAX_RECORDS)
    )
    found = session.exec(query).all()
    labels = known_labels(session, [record.experiment_hash for record, _ in found])
    return tuple(
        AuthorRecord(
            **labels.get(record.experiment_hash, PROJECT).model_dump(),
            track=track,
            key=record.comparability_key,
            val_loss=record.val_loss,
            set_at=record.set_at,
            lost_at=record.lost_at,
            lost_reason=record.lost_reason,
        )
        for record, track in found
    )


def _in_short(session: Session, rows: Sequence[SubmissionRow]) -> tuple[AuthorSubmission, ...]:
    ids = [row.id for row in rows]
    run_ids = [row.run_id for row in rows]
    losses = select(Run.id, Run.val_loss).where(col(Run.id).in_(run_ids))
    by_run = dict(session.exec(losses).all())
    jobs = select(Job.run_id, Job.state).where(col(Job.run_id).in_(run_ids))
    states = dict(session.exec(jobs).all())
    query = select(Withdrawal.submission_id).where(col(Withdrawal.submission_id).in_(ids))
    withdrawn = set(session.exec(query))
    judgements = _judgements(session, [row.experiment_hash for row in rows])
    return tuple(
        AuthorSubmission(
            submission_id=row.id,
            name=row.name,
            track=row.track,
            created_at=row.created_at,
            # What comes with the project was no job.
            state=states.get(row.run_id, JobState.SUCCEEDED),
            val_loss=by_run[row.run_id],
            verdict=Verdict(judged.verdict) if judged else None,
            delta=judged.delta if judged else None,
            low=judged.low if judged else None,
            high=judged.high if judged else None,
            is_withdrawn=row.id in withdrawn,
        )
        for row in rows
        for judged in [judgements.get(row.experiment_hash)]
    )


def _judgements(session: Session, experiments: Sequence[str]) -> dict[str, JudgementRow]:
    """The newest judgement of each experiment that has one."""
    query = select(JudgementRow).where(col(JudgementRow.experiment_hash).in_(experiments))
    rows = session.exec(query.order_by(col(JudgementRow.judged_at)))
    return {row.experiment_hash: row for row in rows}
