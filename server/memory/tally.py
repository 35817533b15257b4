"""How often each setting of a track was changed, and what the best change of it alone gave."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue
from sqlalchemy import func
from sqlmodel import Session, col, select

from core.schema.base import Message
from core.schema.track import Track
from server.memo import kept
from server.memory.tables import ExperimentChange
from server.verdict.judge import Verdict
from server.verdict.tables import JudgementRow
from server.verdict.view import withdrawn_experiments


class BestEffect(Message):
    """The best that a change of one setting alone gave."""

    value: JsonValue
    """What the setting was set to."""
    delta: float
    """Mean validation loss less the baseline's, in nats."""
    low: float
    """Lower end of the 99 % interval."""
    high: float
    """Upper end of the 99 % interval."""
    verdict: Verdict
    """Against the baseline."""


@dataclass(frozen=True, kw_only=True)
class Tally:
    """The settings of a track, by their paths; those that nobody changed are missing."""

    num_experiments: Mapping[str, int]
    """Experiments that change the setting, whatever else they change, measured or not."""
    best: Mapping[str, BestEffect]
    """Of the judged experiments that change nothing else and were not withdrawn: the lowest loss
    of those that are better, or else of all."""


def tally(session: Session, track: Track, key: str | None) -> Tally:
    """The tally of a track under a key."""
    name = track.rules.name
    return kept(session, ("tally", name, key), lambda other: _count(other, name, key))


def _count(session: Session, track: str, key: str | None) -> Tally:
    query = select(ExperimentChange.path, func.count()).where(ExperimentChange.track == track)
    counts = dict(session.exec(query.group_by(col(ExperimentChange.path))).all())
    return Tally(num_experiments=counts, best=_best(session, track, key) if key else {})


def _best(session: Session, track: str, key: str) -> dict[str, BestEffect]:
    withdrawn = withdrawn_experiments(session, track)
    change, judgement = ExperimentChange, JudgementRow
    query = (
        # Columns, not objects: there are as many rows as experiments.
        select(  # type: ignore[call-overload]
            change.path,
            change.experiment_hash,
            change.value,
            judgement.delta,
            judgement.low,
            judgement.high,
            judgement.verdict,
        )
        .join(judgement, col(judgement.experiment_hash) == col(change.experiment_hash))
        .where(change.track == track, change.num_changes == 1)
        .where(judgement.comparability_key == key)
        .order_by(col(judgement.delta), col(judgement.experiment_hash))
    )
    best: dict[str, BestEffect] = {}
    for path, experiment_hash, value, delta, low, high, verdict in session.exec(query):
        if experiment_hash in withdrawn:
            continue
        known = best.get(path)
        # One run may have a lower mean than five, and say less.
        is_first_gain = verdict == Verdict.BETTER and known and known.verdict != Verdict.BETTER
        if known is None or is_first_gain:
            best[path] = BestEffect(
                value=json.loads(value), delta=delta, low=low, high=high, verdict=Verdict(verdict)
            )
    return best
