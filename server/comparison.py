"""Two submissions side by side: the settings and the figures in which they differ."""

from collections.abc import Iterator, Mapping

from sqlmodel import Session

from core.schema.base import Message
from core.schema.overrides import Change, differences
from core.schema.track import Track
from server.board_keys import baseline_hash, board_keys
from server.experiments import stored_config
from server.formatting import Quantity, task_title
from server.pooling import MeasuredRun, PooledResult, pool
from server.served_tracks import find_served_track
from server.standing import RunStanding, experiment_runs
from server.submissions import find_submission
from server.tables import Experiment, SubmissionRow
from server.verdict.board_losses import board_noise, experiment_losses
from server.verdict.judge import Judgement, judge_pair
from server.verdict.view import WithdrawnNote, withdrawal_of


class ComparedFigure(Message):
    """One figure of both sides."""

    label: str
    """Name of the figure, with its unit where it has one."""
    quantity: Quantity
    """Kind of number."""
    a: float | None
    """Value of side A; None if it has none."""
    b: float | None
    """Value of side B; None if it has none."""
    delta: float | None
    """B less A; None where a difference would mean nothing."""


class ComparedSide(Message):
    """One of the two submissions."""

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
    """Comparability keys of its results."""
    num_active_runs: int
    """Runs that are queued or running."""
    num_ended_runs: int
    """Runs that failed or were cancelled."""
    result: PooledResult | None
    """Figures under the common key, or else under its own newest key; None without a result."""


class Comparison(Message):
    """What differs between two submissions."""

    a: ComparedSide
    """The first."""
    b: ComparedSide
    """The second."""
    key: str | None
    """The comparability key that both have results under; None means no deltas."""
    notice: str
    """Why there are no deltas, for a person; empty if there are."""
    judgement: Judgement | None
    """Whether B is better or worse than A; None where their losses are not compared."""
    changes: tuple[Change, ...]
    """Settings that differ; `before` is A's value, `after` is B's."""
    figures: tuple[ComparedFigure, ...]
    """The figures of both."""


def compare(session: Session, tracks: Mapping[str, Track], a: str, b: str) -> Comparison:
    """Compare two submissions by their ids.

    Raises:
        NotFound: one of them does not exist, or its track is no longer served.
    """
    first, second = find_submission(session, a), find_submission(session, b)
    runs_a = experiment_runs(session, first.experiment_hash)
    runs_b = experiment_runs(session, second.experiment_hash)
    keys_a, keys_b = _keys(runs_a), _keys(runs_b)
    key = _common_key(session, find_served_track(first.track, tracks), keys_a, keys_b)
    side_a = _side(session, first, tracks, runs_a, key)
    side_b = _side(session, second, tracks, runs_b, key)
    config_a, config_b = (
        stored_config(session.get_one(Experiment, submission.experiment_hash))
        for submission in (first, second)
    )
    return Comparison(
        a=side_a,
        b=side_b,
        key=key,
        notice="" if key else _notice(side_a, side_b),
        judgement=_judgement(session, first, second, key),
        changes=differences(config_a, config_b),
        figures=tuple(_figures(side_a.result, side_b.result, comparable=key is not None)),
    )


def _judgement(
    session: Session, a: SubmissionRow, b: SubmissionRow, key: str | None
) -> Judgement | None:
    """B against A."""
    if key is None or a.experiment_hash == b.experiment_hash:
        return None
    losses_a, losses_b = (
        experiment_losses(session, submission.experiment_hash, key) for submission in (a, b)
    )
    return judge_pair(losses_b, losses_a, board_noise(session, key))


def _keys(runs: tuple[RunStanding, ...]) -> tuple[str, ...]:
    """Keys of an experiment's results, that of the newest first."""
    done = [run for run in runs if run.result is not None and not run.held_reason]
    done.sort(key=lambda run: run.finished_at or run.created_at, reverse=True)
    return tuple(dict.fromkeys(run.comparability_key for run in done if run.comparability_key))


def _common_key(
    session: Session, track: Track, keys_a: tuple[str, ...], keys_b: tuple[str, ...]
) -> str | None:
    """The first key, in the board's order, that both have."""
    common = set(keys_a) & set(keys_b)
    return next((known.key for known in board_keys(session, track) if known.key in common), None)


def _side(
    session: Session,
    submission: SubmissionRow,
    tracks: Mapping[str, Track],
    runs: tuple[RunStanding, ...],
    key: str | None,
) -> ComparedSide:
    track = find_served_track(submission.track, tracks)
    keys = _keys(runs)
    shown = key or (keys[0] if keys else None)
    measured = [
        MeasuredRun(run.result, run.cost_usd)
        for run in runs
        if run.result is not None and run.comparability_key == shown and not run.held_reason
    ]
    active = sum(not run.state.is_final for run in runs)
    return ComparedSide(
        submission_id=submission.id,
        name=submission.name,
        author=submission.author,
        hypothesis=submission.hypothesis,
        track=submission.track,
        is_baseline=submission.experiment_hash == baseline_hash(track),
        withdrawn=withdrawal_of(session, submission.id),
        keys=keys,
        num_active_runs=active,
        num_ended_runs=sum(run.state.is_final and run.result is None for run in runs),
        result=pool(measured) if measured else None,
    )


def _notice(a: ComparedSide, b: ComparedSide) -> str:
    if a.track != b.track:
        return f"{a.track} and {b.track} are different tracks, so their figures are not compared."
    missing = [side.name for side in (a, b) if side.result is None]
    if missing:
        return f"No result yet: {', '.join(dict.fromkeys(missing))}."
    return (
        "Measured on different data or by different rules (the comparability keys differ), "
        "so the figures are shown without differences."
    )


def _figures(
    a: PooledResult | None, b: PooledResult | None, comparable: bool
) -> Iterator[ComparedFigure]:
    """The figures of both sides: quality, tasks, size, speed, and times.

    Times get no difference: they say something about a config only against a run on the same
    worker in the same session, which two submissions are not. Their ratios to that run do.
    """
    yield from _plain_figures(_QUALITY, a, b, comparable)
    yield from _task_figures(a, b, comparable)
    yield from _plain_figures(_SIZE, a, b, comparable)
    yield from _plain_figures(_SPEED, a, b, comparable)
    yield from _plain_figures(_TIME, a, b, comparable=False)


_Figures = tuple[tuple[str, Quantity, str], ...]
"""Label, kind, and attribute of `PooledResult`."""

_QUALITY: _Figures = (
    ("Validation loss", Quantity.NATS, "val_loss"),
    ("Accuracy", Quantity.SHARE, "val_accuracy"),
    ("Perplexity", Quantity.PERPLEXITY, "val_perplexity"),
    ("Bits per byte", Quantity.BITS, "val_bpb"),
)
_SIZE: _Figures = (
    ("Parameters", Quantity.COUNT, "num_parameters"),
    ("Training tokens", Quantity.COUNT, "tokens"),
    ("Steps", Quantity.COUNT, "steps"),
    ("Peak memory", Quantity.BYTES, "peak_memory_bytes"),
)
_SPEED: _Figures = (("Speed, baseline on the same worker = 1", Quantity.RATIO, "relative_speed"),)
_TIME: _Figures = (
    ("Tokens per second", Quantity.COUNT, "tokens_per_second"),
    ("Compile time", Quantity.SECONDS, "compile_seconds"),
    ("Training time", Quantity.SECONDS, "train_seconds"),
    ("Evaluation time", Quantity.SECONDS, "eval_seconds"),
    ("Cost of a run", Quantity.DOLLARS, "cost_usd"),
)


def _plain_figures(
    figures: _Figures, a: PooledResult | None, b: PooledResult | None, comparable: bool
) -> Iterator[ComparedFigure]:
    for label, quantity, attribute in figures:
        left = None if a is None else getattr(a, attribute)
        right = None if b is None else getattr(b, attribute)
        yield _figure(label, quantity, left, right, comparable)


def _task_figures(
    a: PooledResult | None, b: PooledResult | None, comparable: bool
) -> Iterator[ComparedFigure]:
    names = (task.name for side in (a, b) if side for task in side.tasks)
    for name in dict.fromkeys(names):
        left, right = (side.task(name) if side else None for side in (a, b))
        for score in ("acc", "acc_norm"):
            yield _figure(
                f"{task_title(name)} {score}",
                Quantity.SHARE,
                None if left is None else getattr(left, score),
                None if right is None else getattr(right, score),
                comparable,
            )


def _figure(
    label: str, quantity: Quantity, a: float | None, b: float | None, comparable: bool
) -> ComparedFigure:
    delta = b - a if comparable and a is not None and b is not None else None
    return ComparedFigure(label=label, quantity=quantity, a=a, b=b, delta=delta)
