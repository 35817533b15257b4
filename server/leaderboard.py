"""The board of a track: experiments ranked by mean validation loss under one key."""

from collections.abc import Sequence
from itertools import pairwise

from sqlmodel import Session, col, select

from core.schema.base import Message
from core.schema.overrides import Change, differences
from core.schema.result import Verification
from core.schema.track import Track
from server.board_keys import BoardKey, baseline_hash, board_keys, shown_key
from server.experiments import stored_config
from server.idle.listing import listed_experiments
from server.pooling import MeasuredRun, PooledResult, pool
from server.run_labels import PROJECT, Label, known_labels
from server.standing import RunStanding, active_runs, ended_runs
from server.tables import Experiment, Run
from server.verdict.board_losses import board_noise, losses_by_experiment
from server.verdict.judge import Verdict, judge_pair
from server.verdict.rerun_outcomes import RerunNote, rerun_notes
from server.verdict.view import BoardVerdicts, ExperimentVerdict, WithdrawnNote, board_verdicts

MAX_CHANGES = 3
"""Changed settings that a row names; the submission's page names all."""


class BoardRow(Label):
    """An experiment and the figures of its runs under the board's key."""

    rank: int | None
    """From 1 by mean validation loss; None for the baseline and for what was withdrawn."""
    is_tied: bool
    """Whether the difference from the ranked row above is within the noise."""
    is_baseline: bool
    """Whether this is the track's base config."""
    experiment_hash: str
    """Identity of the experiment."""
    changes: tuple[Change, ...]
    """The first settings that differ from the baseline."""
    num_changes: int
    """How many differ."""
    result: PooledResult
    """Figures of the runs."""
    delta: float | None
    """Mean validation loss less the baseline's; None without a baseline and for itself."""
    verdict: ExperimentVerdict | None
    """Against the baseline; None for the baseline itself, and while there is none."""
    verified: bool
    """Whether trusted workers measured it, or measured the same as others did. What is not
    verified takes no record."""
    withdrawn: WithdrawnNote | None
    """Why it does not count, if its authors took it back."""
    reruns: tuple[RerunNote, ...]
    """Who asked for more runs of it and what came out, the newest three first."""
    num_active_runs: int
    """Further runs of it that are queued or running."""
    num_ended_runs: int
    """Runs of it that failed or were cancelled, among those that the board lists."""


class WaitingRow(Label):
    """A run without a result."""

    run: RunStanding
    """Where it stands."""


class Leaderboard(Message):
    """A track's board under one comparability key."""

    track: str
    """Track name."""
    key: str | None
    """The key that is shown; None while the track has no results."""
    keys: tuple[BoardKey, ...]
    """Every key of the track, the one that is shown by default first."""
    baseline: BoardRow | None
    """The baseline's row."""
    rows: tuple[BoardRow, ...]
    """All other experiments, best first, and behind them what was withdrawn."""
    pending: str
    """Why rows without a verdict have none; empty without a board."""
    active: tuple[WaitingRow, ...]
    """Runs of the track that are running or queued, whatever their key will be."""
    ended: tuple[WaitingRow, ...]
    """Runs of the track that failed or were cancelled, the newest first, at most 50."""
    tasks: tuple[str, ...]
    """The track's multiple-choice tasks, in the order of the columns."""


def leaderboard(session: Session, track: Track, key: str | None = None) -> Leaderboard:
    """The board of a track under a key, or under its default key.

    Raises:
        NotFound: the track has no result under that key.
    """
    keys = board_keys(session, track)
    key = shown_key(keys, track, key)
    labels = _labels(session, track)
    active = active_runs(session, track.rules.name)
    ended = ended_runs(session, track.rules.name)
    rows = _rows(session, track, key, labels, active, ended) if key else []
    baseline = next((row for row in rows if row.is_baseline), None)
    verdicts = None
    if key:
        num_seeds = baseline.result.num_seeds if baseline else 0
        verdicts = board_verdicts(session, track, key, num_seeds)
        rows = [_judged(row, verdicts) for row in rows]
        baseline = next((row for row in rows if row.is_baseline), None)
    return Leaderboard(
        track=track.rules.name,
        key=key,
        keys=keys,
        baseline=baseline,
        rows=_ranked(session, key, [row for row in rows if not row.is_baseline], baseline),
        pending=verdicts.pending if verdicts else "",
        active=tuple(_waiting(run, labels) for run in active),
        ended=tuple(_waiting(run, labels) for run in ended),
        tasks=track.base.evaluation.tasks,
    )


def _labels(session: Session, track: Track) -> dict[str, Label]:
    """The labels of a track's experiments and runs, by hash or id.

    A run's own submission goes by the run's id, so that an author who sent an experiment
    again finds the seed under the name that he gave it.
    """
    of_track = select(Experiment.hash).where(Experiment.track == track.rules.name)
    return {baseline_hash(track): PROJECT} | known_labels(session, of_track)


def _label(experiment_hash: str, labels: dict[str, Label]) -> Label:
    unknown = Label(submission_id=None, name=experiment_hash[:12], author="project")
    return labels.get(experiment_hash, unknown)


def _rows(
    session: Session,
    track: Track,
    key: str,
    labels: dict[str, Label],
    active: Sequence[RunStanding],
    ended: Sequence[RunStanding],
) -> list[BoardRow]:
    """One unranked row for each listed experiment that has a result under the key."""
    listed, reruns = listed_experiments(session, key), rerun_notes(session, key)
    found = session.exec(
        select(Run, Experiment)
        .join(Experiment, col(Experiment.hash) == col(Run.experiment_hash))
        .where(Run.comparability_key == key, Run.held_reason == "")
        .where(col(Run.result).is_not(None))
        .where(col(Run.experiment_hash).in_(listed))
        .order_by(col(Run.seed))
    )
    runs: dict[str, list[MeasuredRun]] = {}
    experiments: dict[str, Experiment] = {}
    unverified: set[str] = set()
    for run, experiment in found:
        if run.verification is Verification.UNVERIFIED:
            if experiment.hash == baseline_hash(track):
                # Nothing is judged against it.
                continue
            unverified.add(experiment.hash)
        experiments[experiment.hash] = experiment
        runs.setdefault(experiment.hash, []).append(MeasuredRun.of(run))
    rows = []
    for identity, experiment in experiments.items():
        changes = differences(track.base, stored_config(experiment))
        rows.append(
            BoardRow(
                **_label(identity, labels).model_dump(),
                rank=None,
                is_tied=False,
                is_baseline=identity == baseline_hash(track),
                experiment_hash=identity,
                changes=changes[:MAX_CHANGES],
                num_changes=len(changes),
                result=pool(runs[identity]),
                delta=None,
                verdict=None,
                verified=identity not in unverified,
                withdrawn=None,
                reruns=reruns.get(identity, ()),
                num_active_runs=sum(run.experiment_hash == identity for run in active),
                num_ended_runs=sum(run.experiment_hash == identity for run in ended),
            )
        )
    return rows


def _judged(row: BoardRow, verdicts: BoardVerdicts) -> BoardRow:
    """The row with what is said of its experiment."""
    identity = row.experiment_hash
    update = {"verdict": verdicts.of.get(identity), "withdrawn": verdicts.withdrawn.get(identity)}
    return row if row.is_baseline else row.model_copy(update=update)


def _ranked(
    session: Session, key: str | None, rows: Sequence[BoardRow], baseline: BoardRow | None
) -> tuple[BoardRow, ...]:
    """Rows by mean loss with rank and delta; equal losses share a rank, withdrawn ones have none.

    A row is tied with the one above if the two cannot be told apart.
    """
    counting = [row for row in rows if row.withdrawn is None]
    ordered = sorted(counting, key=lambda row: (row.result.val_loss, row.experiment_hash))
    losses = [row.result.val_loss for row in ordered]
    tied = _ties(session, key, ordered) if key else set()
    updates = [
        {
            "rank": losses.index(row.result.val_loss) + 1,
            "is_tied": row.experiment_hash in tied,
        }
        for row in ordered
    ]
    ranked = [row.model_copy(update=new) for row, new in zip(ordered, updates, strict=True)]
    withdrawn = [row for row in rows if row.withdrawn is not None]
    base = baseline.result.val_loss if baseline else None
    return tuple(
        row.model_copy(update={"delta": None if base is None else row.result.val_loss - base})
        for row in (*ranked, *withdrawn)
    )


def _ties(session: Session, key: str, ordered: Sequence[BoardRow]) -> set[str]:
    """Experiments that are not surely worse than the one ranked above them."""
    losses, noise = losses_by_experiment(session, key), board_noise(session, key)
    tied = set()
    for above, row in pairwise(ordered):
        pair = judge_pair(losses[row.experiment_hash], losses[above.experiment_hash], noise)
        # Ranks go by all runs and verdicts by those of a look, so that the row may be better.
        if pair is None or pair.verdict is not Verdict.WORSE:
            tied.add(row.experiment_hash)
    return tied


def _waiting(run: RunStanding, labels: dict[str, Label]) -> WaitingRow:
    label = labels.get(run.run_id) or _label(run.experiment_hash, labels)
    return WaitingRow(**label.model_dump(), run=run)
