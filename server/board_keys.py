"""The comparability keys that a track's results have: one board for each."""

from collections.abc import Sequence
from enum import StrEnum

from pydantic import AwareDatetime
from sqlalchemy import case, distinct, func
from sqlmodel import Session, col, select

from core.schema.base import Message
from core.schema.canonical import experiment_hash
from core.schema.track import Track
from server.errors import NotFound
from server.memo import kept
from server.tables import Experiment, Run, RunPurpose


class DataState(StrEnum):
    """What a key's data is to its track."""

    PINNED = "pinned"
    """The track's own, as a maintainer wrote it down."""
    PROPOSED = "proposed"
    """Nobody has written down yet what the track's data is."""
    OTHER = "other"
    """A mirror's, or that of an earlier evaluation protocol."""


class BoardKey(Message):
    """A comparability key that the track's results have."""

    key: str
    """Sixteen hexadecimal digits."""
    num_experiments: int
    """Experiments with a result under it, without mere ablations, which the board does not list."""
    num_runs: int
    """Runs with a result under it."""
    num_baseline_runs: int
    """Those that are the baseline's."""
    latest_at: AwareDatetime | None
    """When the newest of them ended."""
    data: DataState
    """Whether this is the track's own data."""
    note: str
    """What the project says of its own runs among them; may be empty."""


def baseline_hash(track: Track) -> str:
    """Identity of a track's base config."""
    return experiment_hash(track.rules.name, track.rules.version, track.base)


def shown_key(keys: Sequence[BoardKey], track: Track, key: str | None) -> str | None:
    """The key asked for, or else the first; None while there are no results.

    Raises:
        NotFound: the track has no result under that key.
    """
    known = [one.key for one in keys]
    if key is None:
        return known[0] if known else None
    if key not in known:
        have = ", ".join(known) or "none yet"
        raise NotFound(
            f"track {track.rules.name} has no results under key {key!r}; its keys are: {have}."
        )
    return key


def board_keys(session: Session, track: Track) -> tuple[BoardKey, ...]:
    """Keys of a track: its own data first, then those with the most and the newest baseline runs.

    So one run on a mirror takes nobody's board away.
    """
    name = ("board keys", track.rules.name, track.rules.version)
    return kept(session, name, lambda: _count_keys(session, track))


def _count_keys(session: Session, track: Track) -> tuple[BoardKey, ...]:
    is_baseline = col(Run.experiment_hash) == baseline_hash(track)
    newest_baseline = func.max(case((is_baseline, Run.finished_at)))
    newest = func.max(Run.finished_at)
    listed = case((col(Run.purpose) != RunPurpose.ABLATION, Run.experiment_hash))
    rows = session.exec(
        select(  # type: ignore[call-overload]
            Run.comparability_key,
            func.count(distinct(listed)),
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
    keys = [
        BoardKey(
            key=key,
            num_experiments=experiments,
            num_runs=runs,
            num_baseline_runs=baseline_runs,
            latest_at=latest_at,
            data=_data_state(track, key),
            note=note,
        )
        for key, experiments, runs, baseline_runs, latest_at, note in rows
    ]
    return tuple(sorted(keys, key=lambda k: (k.data is not DataState.PINNED, -k.num_baseline_runs)))


def _data_state(track: Track, key: str) -> DataState:
    rules = track.rules
    if rules.expected_data is None:
        return DataState.PROPOSED
    expected = rules.expected_data.comparability_key(rules.name, rules.version)
    return DataState.PINNED if key == expected else DataState.OTHER
