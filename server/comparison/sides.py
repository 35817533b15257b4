"""The submissions of a comparison, with what each of them measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlmodel import Session, col, select

from core.schema.base import Message
from core.schema.experiment import ExperimentConfig
from core.schema.track import Track
from server.board_keys import baseline_hash, board_keys
from server.experiments import stored_config
from server.pooling import MeasuredRun, PooledResult, pool
from server.served_tracks import find_served_track
from server.standing import RunStanding, runs_by_experiment
from server.submissions import find_submissions
from server.tables import Experiment, SubmissionRow
from server.verdict.judge import Judgement
from server.verdict.view import WithdrawnNote, withdrawals_of


class ComparedSide(Message):
    """One of the submissions."""

    letter: str
    """A for the first, B for the second, and so on."""
    submission_id: str
    """Id."""
    name: str
    """Name."""
    author: str
    """Author."""
    hypothesis: str
    """What the author expected."""
    track: str
    """Track name."""
    is_baseline: bool
    """Whether it is the track's base config."""
    withdrawn: WithdrawnNote | None
    """Why its author took it back, if that happened."""
    keys: tuple[str, ...]
    """Comparability keys of its results, that of the newest first."""
    num_active_runs: int
    """Runs that are queued or running."""
    num_ended_runs: int
    """Runs that failed or were cancelled."""
    result: PooledResult | None
    """Figures under the common key, or else under its own newest key; None without a result."""
    is_compared: bool
    """Whether it has results under the common key, and so differences to the first."""
    judgement: Judgement | None
    """Whether it is better or worse than the first; None where their losses are not compared."""


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A submission with its config and its runs."""

    submission: SubmissionRow
    track: Track
    config: ExperimentConfig
    runs: tuple[RunStanding, ...]
    """Every run of its experiment, in order of seeds."""

    @property
    def experiment_hash(self) -> str:
        """Identity of its experiment."""
        return self.submission.experiment_hash

    def keys(self) -> tuple[str, ...]:
        """Keys of its results, that of the newest first."""
        done = [run for run in self.runs if run.result is not None and not run.held_reason]
        done.sort(key=lambda run: run.finished_at or run.created_at, reverse=True)
        return tuple(dict.fromkeys(run.comparability_key for run in done if run.comparability_key))

    def measured(self, key: str | None) -> list[RunStanding]:
        """Runs with a result under a key, in order of seeds; held ones are left out."""
        return [
            run
            for run in self.runs
            if run.result is not None and run.comparability_key == key and not run.held_reason
        ]


def contenders(
    session: Session, tracks: Mapping[str, Track], ids: Sequence[str]
) -> tuple[Contender, ...]:
    """The submissions of these ids, in their order, in as many statements for six as for two.

    Raises:
        NotFound: one of them does not exist, or its track is no longer served.
    """
    rows = find_submissions(session, ids)
    served = [find_served_track(row.track, tracks) for row in rows]
    hashes = {row.experiment_hash for row in rows}
    runs = runs_by_experiment(session, hashes)
    stored = session.exec(select(Experiment).where(col(Experiment.hash).in_(hashes)))
    configs = {experiment.hash: stored_config(experiment) for experiment in stored}
    return tuple(
        Contender(
            submission=row,
            track=track,
            config=configs[row.experiment_hash],
            runs=runs.get(row.experiment_hash, ()),
        )
        for row, track in zip(rows, served, strict=True)
    )


def common_key(session: Session, found: Sequence[Contender]) -> str | None:
    """The key that the first shares with most others; of equal ones the first of the board."""
    own, *others = (set(contender.keys()) for contender in found)
    ordered = [known.key for known in board_keys(session, found[0].track) if known.key in own]
    shared = {key: sum(key in keys for keys in others) for key in ordered}
    best = max(ordered, key=lambda key: shared[key], default=None)
    return best if best is not None and shared[best] else None


def compared_sides(
    session: Session,
    found: Sequence[Contender],
    key: str | None,
    judgements: Sequence[Judgement | None],
    letters: str,
) -> tuple[ComparedSide, ...]:
    """What is shown of each submission."""
    withdrawn = withdrawals_of(session, [contender.submission.id for contender in found])
    return tuple(
        _side(contender, key, judgement, letter, withdrawn.get(contender.submission.id))
        for contender, judgement, letter in zip(found, judgements, letters, strict=False)
    )


def _side(
    contender: Contender,
    key: str | None,
    judgement: Judgement | None,
    letter: str,
    withdrawn: WithdrawnNote | None,
) -> ComparedSide:
    keys, submission = contender.keys(), contender.submission
    is_compared = key is not None and key in keys
    shown = key if is_compared else next(iter(keys), None)
    measured = [
        MeasuredRun(run.result, run.cost_usd)
        for run in contender.measured(shown)
        if run.result is not None
    ]
    return ComparedSide(
        letter=letter,
        submission_id=submission.id,
        name=submission.name,
        author=submission.author,
        hypothesis=submission.hypothesis,
        track=submission.track,
        is_baseline=submission.experiment_hash == baseline_hash(contender.track),
        withdrawn=withdrawn,
        keys=keys,
        num_active_runs=sum(not run.state.is_final for run in contender.runs),
        num_ended_runs=sum(run.state.is_final and run.result is None for run in contender.runs),
        result=pool(measured) if measured else None,
        is_compared=is_compared,
        judgement=judgement,
    )
