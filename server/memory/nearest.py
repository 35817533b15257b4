"""Experiments that were measured near a config, and what they gave."""

import math
from collections.abc import Mapping, Sequence

from pydantic import JsonValue
from sqlmodel import Session

from core.schema.base import Message
from core.schema.canonical import canonical, experiment_hash
from core.schema.experiment import ExperimentConfig
from core.schema.overrides import Change, settings_of
from core.schema.track import Track
from server.board_keys import board_keys, shown_key
from server.memory.changes import StartingPoint
from server.memory.measured import (
    MeasuredExperiment,
    Outcome,
    measured_experiments,
)
from server.run_labels import known_labels

NEAREST = 5
"""Experiments that are named."""


class NearExperiment(Outcome):
    """An experiment that was measured, and how far it is from the config asked about."""

    distance: float
    """Settings that differ; one that both changed to a number counts by the logarithm of the
    ratio, at most 1."""
    changes: tuple[Change, ...]
    """What differs: `before` is the value of the config asked about, `after` the experiment's."""


class NearestExperiments(Message):
    """What was measured near a config."""

    track: str
    """Track name."""
    key: str | None
    """Comparability key of the results; None while the track has none."""
    equal: Outcome | None
    """The same experiment, if somebody submitted it: to submit it again adds a seed. It has no
    runs here while none has a result under the key."""
    nearest: tuple[NearExperiment, ...]
    """Other experiments, the nearest first. The baseline is not among them: everything is
    compared with it anyway."""


def nearest_experiments(
    session: Session, track: Track, config: ExperimentConfig, limit: int = NEAREST
) -> NearestExperiments:
    """The experiments nearest to a config, under the key that the board shows.

    Of two that are equally near, the one with more seeds comes first.
    """
    key = shown_key(board_keys(session, track), track, None)
    measured = measured_experiments(session, track, key)
    identity = experiment_hash(track.rules.name, track.rules.version, config)
    here, baseline = StartingPoint(config), settings_of(canonical(track.base))
    near = [
        _near(other, here, baseline)
        for other in measured
        if not other.is_baseline and other.outcome.experiment_hash != identity
    ]
    near.sort(key=lambda other: (other.distance, -other.num_runs, other.experiment_hash))
    return NearestExperiments(
        track=track.rules.name,
        key=key,
        equal=_equal(session, identity, measured),
        nearest=tuple(near[:limit]),
    )


def distance(changes: Sequence[Change], baseline: Mapping[str, JsonValue]) -> float:
    """How far apart two configs are.

    Args:
        changes: what differs between them.
        baseline: the baseline's value of every setting, by its dotted path.
    """
    return math.fsum(_weight(change, baseline.get(change.path)) for change in changes)


def _weight(change: Change, baseline: JsonValue) -> float:
    """1, or less for a number that neither side left at the baseline's: both tried the setting."""
    ours, theirs = _logarithm(change.before), _logarithm(change.after)
    if ours is None or theirs is None or baseline in (change.before, change.after):
        return 1.0
    return min(1.0, abs(theirs - ours))


def _logarithm(value: JsonValue) -> float | None:
    """Of a number above zero; everything else has no ratio to another value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return math.log(value) if value > 0 else None


def _near(
    other: MeasuredExperiment, here: StartingPoint, baseline: Mapping[str, JsonValue]
) -> NearExperiment:
    changes = here.changes_to(other.form)
    return NearExperiment(
        **dict(other.outcome), distance=distance(changes, baseline), changes=changes
    )


def _equal(
    session: Session, identity: str, measured: Sequence[MeasuredExperiment]
) -> Outcome | None:
    for other in measured:
        if other.outcome.experiment_hash == identity:
            return other.outcome
    label = known_labels(session, [identity]).get(identity)
    if label is None:
        return None
    return Outcome(
        **label.model_dump(),
        experiment_hash=identity,
        num_runs=0,
        delta=None,
        verdict=None,
        withdrawn=None,
    )
