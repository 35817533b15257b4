"""Experiments that were measured near a config, and what they gave."""

import heapq
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pydantic import JsonValue
from sqlalchemy import distinct, func
from sqlmodel import Session, col, select

from core.schema.base import Message
from core.schema.canonical import experiment_hash
from core.schema.experiment import ExperimentConfig
from core.schema.overrides import Change
from core.schema.track import Track
from server.board_keys import board_keys, shown_key
from server.memory.candidates import candidates
from server.memory.change_rows import Changed, base_values, changes_of, stored_changes
from server.memory.outcomes import Outcome, outcomes_of
from server.run_labels import known_labels
from server.tables import Run

NEAREST = 5
"""Experiments that are named."""

Difference = tuple[str, JsonValue, JsonValue]
"""A setting's path, and its values in two configs."""


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

    Of two that are equally near, the one with more seeds comes first. The distance of at most
    500 experiments is worked out, those that share the rarest changes first.
    """
    key = shown_key(board_keys(session, track), track, None)
    identity = experiment_hash(track.rules.name, track.rules.version, config)
    nearest: tuple[NearExperiment, ...] = ()
    if key is not None:
        nearest = nearest_measured(session, track, key, config, identity, limit)
    return NearestExperiments(
        track=track.rules.name,
        key=key,
        equal=_equal(session, track, key, identity),
        nearest=nearest,
    )


def nearest_measured(
    session: Session,
    track: Track,
    key: str,
    config: ExperimentConfig,
    identity: str,
    limit: int = NEAREST,
) -> tuple[NearExperiment, ...]:
    """The experiments nearest to a config under a key, but for that of an identity."""
    here, baseline = changes_of(track.base, config), base_values(track)
    found = candidates(session, track.rules.name, key, here)
    changed = stored_changes(session, found)
    apart = {
        other: distance(_differences(here, changed[other], baseline), baseline)
        for other in found
        if other != identity
    }
    closest = _closest(session, key, apart, limit)
    outcomes = outcomes_of(session, track, key, closest)
    return tuple(
        NearExperiment(
            **dict(outcomes[other]),
            distance=apart[other],
            changes=tuple(
                Change(path=path, before=before, after=after)
                for path, before, after in _differences(here, changed[other], baseline)
            ),
        )
        for other in closest
    )


def _closest(session: Session, key: str, apart: Mapping[str, float], limit: int) -> list[str]:
    """The nearest by their distances; seeds are counted only of those that may be among them."""
    farthest = max(heapq.nsmallest(limit, apart.values()), default=0.0)
    near = [other for other in apart if apart[other] <= farthest]
    seeds = _num_seeds(session, key, near)
    return sorted(near, key=lambda other: (apart[other], -seeds[other], other))[:limit]


def _differences(here: Changed, there: Changed, baseline: Changed) -> Iterator[Difference]:
    """What differs between two experiments, each given by what it changes in the base config."""
    for path in dict.fromkeys((*here, *there)):
        unchanged = baseline.get(path)
        before, after = here.get(path, unchanged), there.get(path, unchanged)
        if before != after:
            yield path, before, after


def _num_seeds(session: Session, key: str, experiments: Sequence[str]) -> dict[str, int]:
    query = select(Run.experiment_hash, func.count(distinct(col(Run.seed))))
    query = query.where(col(Run.experiment_hash).in_(experiments), Run.held_reason == "")
    query = query.where(Run.comparability_key == key, col(Run.val_loss).is_not(None))
    return dict(session.exec(query.group_by(col(Run.experiment_hash))).all())


def distance(differences: Iterable[Difference], baseline: Mapping[str, JsonValue]) -> float:
    """How far apart two configs are.

    Args:
        differences: what differs between them.
        baseline: the baseline's value of every setting, by its dotted path.
    """
    return math.fsum(
        _weight(before, after, baseline.get(path)) for path, before, after in differences
    )


def _weight(before: JsonValue, after: JsonValue, baseline: JsonValue) -> float:
    """1, or less for a number that neither side left at the baseline's: both tried the setting."""
    ours, theirs = _logarithm(before), _logarithm(after)
    if ours is None or theirs is None or baseline in (before, after):
        return 1.0
    return min(1.0, abs(theirs - ours))


def _logarithm(value: JsonValue) -> float | None:
    """Of a number above zero; everything else has no ratio to another value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return math.log(value) if value > 0 else None


def _equal(session: Session, track: Track, key: str | None, identity: str) -> Outcome | None:
    if key is not None and (found := outcomes_of(session, track, key, [identity])):
        return found[identity]
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
