"""The board of a track: experiments ranked by mean validation loss under one key."""

from collections.abc import Sequence

from pydantic import AwareDatetime
from sqlalchemy import case, distinct, func
from sqlmodel import Session, col, select

from core.schema.base import Message
from core.schema.overrides import Change, differences, experiment_hash
from core.schema.track import Track
from server.errors import NotFound
from server.pooling import MeasuredRun, PooledResult, pool
from server.standing import RunStanding, active_runs, ended_runs
from server.submissions import stored_config
from server.tables import Experiment, Run, SubmissionRow

MAX_CHANGES = 3
"""Changed settings that a row names; the submission's page names all."""


class BoardKey(Message):
    """A comparability key that the track's results have."""

    key: str
    """Sixteen hexadecimal digits."""
    num_experiments: int
    """Experiments with a result under it."""
    num_runs: int
    """Runs with a result under it."""
    num_baseline_runs: int
    """Those that are the baseline's."""
    latest_at: AwareDatetime | None
    """When the newest of them ended."""
    note: str
    """What the project says of its own runs among them; may be empty."""


class Label(Message):
    """What a row is called: the first submission of the experiment."""

    submission_id: str | None
    """Id; None if nobody submitted it, as with a baseline that comes with the project."""
    name: str
    """Name."""
    author: str
    """Author."""


class BoardRow(Label):
    """An experiment and the figures of its runs under the board's key."""

    rank: int | None
    """From 1 by mean validation loss; None for the baseline, which is not ranked."""
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
    """All other experiments, best first."""
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
    if key is None:
        key = keys[0].key if keys else None
    elif key not in [known.key for known in keys]:
        have = ", ".join(known.key for known in keys) or "none yet"
        raise NotFound(
            f"track {track.rules.name} has no results under key {key!r}; its keys are: {have}."
        )
    labels = _labels(session, track)
    active = active_runs(session, track.rules.name)
    ended = ended_runs(session, track.rules.name)
    rows = _rows(session, track, key, labels, active, ended) if key else []
    baseline = next((row for row in rows if row.is_baseline), None)
    return Leaderboard(
        track=track.rules.name,
        key=key,
        keys=keys,
        baseline=baseline,
        rows=_ranked([row for row in rows if not row.is_baseline], baseline),
        active=tuple(_waiting(run, labels) for run in active),
        ended=tuple(_waiting(run, labels) for run in ended),
        tasks=track.base.evaluation.tasks,
    )


def baseline_hash(track: Track) -> str:
    """Identity of a track's base config."""
    return experiment_hash(track.rules.name, track.rules.version, track.base)


def board_keys(session: Session, track: Track) -> tuple[BoardKey, ...]:
    """Keys of a track: that of the newest baseline run first, then by their newest run."""
    is_baseline = col(Run.experiment_hash) == baseline_hash(track)
    newest_baseline = func.max(case((is_baseline, Run.finished_at)))
    newest = func.max(Run.finished_at)
    rows = session.exec(
        select(  # type: ignore[call-overload]
            Run.comparability_key,
            func.count(distinct(col(Run.experiment_hash))),
            func.count(),
            func.count(case((is_baseline, 1))),
            newest,
            func.max(Run.note),
        )
        .join(Experiment, col(Experiment.hash) == col(Run.experiment_hash))
        .where(Experiment.track == track.rules.name)
        .where(col(Run.comparability_key).is_not(None))
        .group_by(col(Run.comparability_key))
        .order_by(
            newest_baseline.is_(None), newest_baseline.desc(), newest.desc(), Run.comparability_key
        )
    )
    return tuple(
        BoardKey(
            key=key,
            num_experiments=experiments,
            num_runs=runs,
            num_baseline_runs=baseline_runs,
            latest_at=latest_at,
            note=note,
        )
        for key, experiments, runs, baseline_runs, latest_at, note in rows
    )


def _labels(session: Session, track: Track) -> dict[str, Label]:
    """The first submission of each experiment of a track, by the experiment's hash.

    A run's own submission goes by the run's id, so that an author who sent an experiment
    again finds the seed under the name that he gave it.
    """
    rows = session.exec(
        select(  # type: ignore[call-overload]
            SubmissionRow.experiment_hash,
            SubmissionRow.run_id,
            SubmissionRow.id,
            SubmissionRow.name,
            SubmissionRow.author,
        )
        .where(SubmissionRow.track == track.rules.name)
        .order_by(col(SubmissionRow.created_at), col(SubmissionRow.id))
    )
    project = Label(submission_id=None, name="Baseline", author="project")
    labels = {baseline_hash(track): project}
    for experiment, run_id, submission_id, name, author in rows:
        label = Label(submission_id=submission_id, name=name, author=author)
        if labels.get(experiment, project) is project:
            labels[experiment] = label
        labels.setdefault(run_id, label)
    return labels


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
    """One unranked row for each experiment that has a result under the key."""
    found = session.exec(
        select(Run, Experiment)
        .join(Experiment, col(Experiment.hash) == col(Run.experiment_hash))
        .where(Run.comparability_key == key)
        .where(col(Run.result).is_not(None))
        .order_by(col(Run.seed))
    )
    runs: dict[str, list[MeasuredRun]] = {}
    experiments: dict[str, Experiment] = {}
    for run, experiment in found:
        experiments[experiment.hash] = experiment
        runs.setdefault(experiment.hash, []).append(MeasuredRun.of(run))
    rows = []
    for identity, experiment in experiments.items():
        changes = differences(track.base, stored_config(experiment))
        rows.append(
            BoardRow(
                **_label(identity, labels).model_dump(),
                rank=None,
                is_baseline=identity == baseline_hash(track),
                experiment_hash=identity,
                changes=changes[:MAX_CHANGES],
                num_changes=len(changes),
                result=pool(runs[identity]),
                delta=None,
                num_active_runs=sum(run.experiment_hash == identity for run in active),
                num_ended_runs=sum(run.experiment_hash == identity for run in ended),
            )
        )
    return rows


def _ranked(rows: Sequence[BoardRow], baseline: BoardRow | None) -> tuple[BoardRow, ...]:
    """Rows by mean loss with rank and delta; equal losses share a rank."""
    ordered = sorted(rows, key=lambda row: (row.result.val_loss, row.experiment_hash))
    losses = [row.result.val_loss for row in ordered]
    return tuple(
        row.model_copy(
            update={
                "rank": losses.index(row.result.val_loss) + 1,
                "delta": row.result.val_loss - baseline.result.val_loss if baseline else None,
            }
        )
        for row in ordered
    )


def _waiting(run: RunStanding, labels: dict[str, Label]) -> WaitingRow:
    label = labels.get(run.run_id) or _label(run.experiment_hash, labels)
    return WaitingRow(**label.model_dump(), run=run)
