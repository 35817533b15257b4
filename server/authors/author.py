"""One author: what they submitted, their records, and where their best stands on each track."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import AwareDatetime
from sqlmodel import Session, col, select

from core.schema.base import Message
from core.schema.job import JobState
from core.schema.track import Track
from server.authors.totals import AuthorTotals, author_totals
from server.board.kept_standings import standings
from server.board.tables import BoardEntry, BoardTotals, Place
from server.board_keys import board_keys, shown_key
from server.errors import NotFound
from server.run_labels import Label
from server.tables import Job, Run, SubmissionRow
from server.verdict.judge import Verdict
from server.verdict.tables import JudgementRow, RecordRow, Withdrawal

PER_PAGE = 50
"""Submissions on a page."""
MAX_RECORDS = 50
"""Records that are named, the newest ones."""

_LABEL: tuple[Any, ...] = (BoardEntry.submission_id, BoardEntry.name, BoardEntry.author)


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
    found = (_rank(session, track, name) for track in tracks.values())
    return tuple(rank for rank in found if rank is not None)


def _rank(session: Session, track: Track, name: str) -> AuthorRank | None:
    """The best of an author on the board that a track shows by default, if it ranks any."""
    key = shown_key(board_keys(session, track), track, None)
    if key is None:
        return None
    columns = (*_LABEL, BoardEntry.val_loss)
    query: Any = select(*columns).where(BoardEntry.comparability_key == key)
    query = query.where(BoardEntry.place == Place.RANKED, BoardEntry.author == name)
    query = query.order_by(col(BoardEntry.val_loss), col(BoardEntry.experiment_hash)).limit(1)
    best = session.exec(query).first()
    if best is None:
        return None
    submission_id, entry_name, author, loss = best
    order = standings(session, key)
    return AuthorRank(
        submission_id=submission_id,
        name=entry_name,
        author=author,
        track=track.rules.name,
        rank=order.rank(loss),
        num_ranked=len(order.ranked),
        val_loss=loss,
    )


def _records(session: Session, name: str) -> tuple[AuthorRecord, ...]:
    """Records are few, and a board says whose each of them is."""
    query: Any = (
        select(RecordRow, BoardTotals.track, *_LABEL)
        .join(BoardTotals, col(BoardTotals.comparability_key) == col(RecordRow.comparability_key))
        .join(
            BoardEntry,
            (col(BoardEntry.experiment_hash) == col(RecordRow.experiment_hash))
            & (col(BoardEntry.comparability_key) == col(RecordRow.comparability_key)),
        )
        .where(BoardEntry.author == name)
        .order_by(col(RecordRow.id).desc())
        .limit(MAX_RECORDS)
    )
    return tuple(
        AuthorRecord(
            submission_id=submission_id,
            name=entry_name,
            author=author,
            track=track,
            key=record.comparability_key,
            val_loss=record.val_loss,
            set_at=record.set_at,
            lost_at=record.lost_at,
            lost_reason=record.lost_reason,
        )
        for record, track, submission_id, entry_name, author in session.exec(query)
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
