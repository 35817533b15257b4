"""Where one submission stands, in the few words that fit on a badge or a card."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlmodel import Session, select

from core.schema.job import JobState
from core.schema.track import Track, TrackRules
from server.formatting import delta, interval, loss, words
from server.served_tracks import find_served_track
from server.submissions import find_submission
from server.syndication.board_rows import BoardRow, board_row
from server.tables import Job, SubmissionRow
from server.verdict.board_losses import newest_key
from server.verdict.view import ExperimentVerdict, withdrawal_of


@dataclass(frozen=True, kw_only=True)
class Placing:
    """A submission and its row under the key of its newest result."""

    submission: SubmissionRow
    rules: TrackRules
    state: JobState
    """Of the run that it asked for."""
    is_withdrawn: bool
    row: BoardRow | None
    """None while its board does not list it."""

    @property
    def verdict(self) -> ExperimentVerdict | None:
        """The verdict that counts; None without one, or once it was taken back."""
        return self.row.verdict if self.row is not None and not self.is_withdrawn else None

    @property
    def val_loss(self) -> float | None:
        """Mean validation loss; None without a result."""
        return self.row.result.val_loss if self.row is not None else None

    @property
    def standing(self) -> str:
        """The verdict in a word, or why there is none."""
        if self.is_withdrawn:
            return "withdrawn"
        if self.row is None:
            return words(self.state.value) if self.state is not JobState.SUCCEEDED else "not ranked"
        if self.row.is_baseline:
            return "baseline"
        return self.row.verdict.verdict.value if self.row.verdict else "not judged yet"


def find_placing(session: Session, tracks: Mapping[str, Track], submission_id: str) -> Placing:
    """Where a submission stands.

    Raises:
        NotFound: there is no such submission, or its track is no longer served.
    """
    submission = find_submission(session, submission_id)
    track = find_served_track(submission.track, tracks)
    job = session.exec(select(Job).where(Job.run_id == submission.run_id)).one()
    key = newest_key(session, submission.experiment_hash)
    row = board_row(session, track, key, submission.experiment_hash) if key else None
    return Placing(
        submission=submission,
        rules=track.rules,
        state=job.state,
        is_withdrawn=withdrawal_of(session, submission.id) is not None,
        row=row,
    )


def placing_sentence(placing: Placing) -> str:
    """The same for those who do not see the picture."""
    text = f"{placing.submission.name} by {placing.submission.author} on {placing.rules.name}: "
    if placing.row is not None and placing.row.rank is not None and not placing.is_withdrawn:
        text += f"rank {placing.row.rank}, "
    if placing.verdict is not None:
        return text + verdict_sentence(placing.verdict)
    text += placing.standing
    return text if placing.val_loss is None else f"{text}, validation loss {loss(placing.val_loss)}"


def verdict_sentence(verdict: ExperimentVerdict) -> str:
    """A verdict with its interval."""
    record = ", the board's record" if verdict.is_record else ""
    return (
        f"{verdict.verdict.value}{record}, {delta(verdict.delta)} nats against the baseline, "
        f"99 % interval {interval(verdict.low, verdict.high)}"
    )
