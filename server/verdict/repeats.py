"""The runs of each board that differ by the seed alone: what noise is, seen."""

from collections.abc import Mapping

from pydantic import Field
from sqlalchemy import distinct, func
from sqlmodel import Session, col, select

from core.schema.base import Message
from core.schema.track import Track
from server.board_keys import baseline_hash, board_keys, shown_key
from server.memo import kept
from server.run_labels import PROJECT, Label, known_labels
from server.tables import Run
from server.verdict.board_losses import board_noise, losses_by_experiment
from server.verdict.escalation import MAX_RUNS, TRIAGE_RUNS
from server.verdict.judge import MIN_BASELINE_RUNS
from server.verdict.looks import ERROR_SHARES
from server.verdict.noise import Noise

MAX_SHOWN = 24
"""Experiments of a board that are shown."""


class RepeatedExperiment(Label):
    """An experiment that ran with several seeds."""

    is_baseline: bool
    """Whether this is the track's base config."""
    losses: tuple[float, ...]
    """Validation losses in the order of the seeds, in nats."""


class TrackNoise(Message):
    """How much equal runs of a track's board differ."""

    track: str
    """Track name."""
    title: str
    """Title of the track."""
    key: str | None
    """Comparability key of the board; None while the track has no results."""
    noise: Noise | None
    """Pooled over all experiments of the board; None while none ran twice."""
    experiments: tuple[RepeatedExperiment, ...]
    """Those with the most seeds, at most 24, the baseline first."""


class Look(Message):
    """A number of runs at which a verdict is taken."""

    num_runs: int
    """Runs of the experiment."""
    error: float
    """Share of false verdicts that the interval at this look may give."""


class AboutNumbers(Message):
    """What verdicts are made from."""

    looks: tuple[Look, ...]
    """When verdicts are taken; the errors add up to 1 %."""
    first_runs: int = TRIAGE_RUNS
    """Runs of a new experiment."""
    automatic_runs: int = MAX_RUNS
    """Runs up to which a promising one gets more by itself."""
    min_baseline_runs: int = Field(default=MIN_BASELINE_RUNS)
    """Runs of the baseline without which there is no verdict."""
    tracks: tuple[TrackNoise, ...]
    """The noise of every track."""


def about_numbers(session: Session, tracks: Mapping[str, Track]) -> AboutNumbers:
    """What verdicts are made from, with the noise of every track's board."""
    return AboutNumbers(
        looks=tuple(Look(num_runs=runs, error=error) for runs, error in ERROR_SHARES.items()),
        tracks=tuple(track_noise(session, track) for track in tracks.values()),
    )


def track_noise(session: Session, track: Track) -> TrackNoise:
    """The noise of the board that a track shows by default."""
    key = shown_key(board_keys(session, track), track, None)
    if key is None:
        rules = track.rules
        return TrackNoise(track=rules.name, title=rules.title, key=None, noise=None, experiments=())
    return kept(session, ("noise", key), lambda other: _track_noise(other, track, key))


def _track_noise(session: Session, track: Track, key: str) -> TrackNoise:
    baseline = baseline_hash(track)
    num_seeds = func.count(distinct(col(Run.seed)))
    query = (
        select(Run.experiment_hash)
        .where(Run.comparability_key == key, Run.held_reason == "")
        .where(col(Run.val_loss).is_not(None))
        .group_by(col(Run.experiment_hash))
        .having(num_seeds > 1)
        .order_by(col(Run.experiment_hash) != baseline, num_seeds.desc(), Run.experiment_hash)
        .limit(MAX_SHOWN)
    )
    shown = session.exec(query).all()
    losses = losses_by_experiment(session, key, shown)
    labels = {baseline: PROJECT} | known_labels(session, shown)
    return TrackNoise(
        track=track.rules.name,
        title=track.rules.title,
        key=key,
        noise=board_noise(session, key),
        experiments=tuple(
            RepeatedExperiment(
                **labels.get(identity, _unnamed(identity)).model_dump(),
                is_baseline=identity == baseline,
                losses=tuple(losses[identity]),
            )
            for identity in shown
        ),
    )


def _unnamed(identity: str) -> Label:
    return Label(submission_id=None, name=identity[:12], author=PROJECT.author)
