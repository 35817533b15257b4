"""The comparability keys that a track's results have: one board for each."""

from collections.abc import Sequence
from enum import StrEnum

from pydantic import AwareDatetime
from sqlalchemy import case, distinct, func
from sqlmodel import Session, col, select

from core.schema.base import Message
from core.schema.canonical import experiment_hash
from core.schema.result import Verification
from core.schema.track import Track
from server.errors import NotFound
from server.tables import Experiment, Run, RunPurpose


class DataState(StrEnum):
    """What a key's data is to its track."""

    PINNED = "pinned"
    """The track's own, as a maintainer wrote it down."""
    PROPOSED = "proposed"
    """The first that a trusted worker had; nobody has written down yet what the track's data is."""
    UNVERIFIED = "unverified"
    """Only workers that are not trusted had it, so that it is no proposal."""
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
    """Those that are the baseline's, without unverified ones."""
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
    is_unverified = col(Run.verification) == Verification.UNVERIFIED
    is_baseline = (col(Run.experiment_hash) == baseline_hash(track)) & ~is_unverified
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
            func.count(case((~is_unverified, 1))),
        )
        .join(Experiment, col(Experiment.hash) == col(Run.experiment_hash))
        .where(Experiment.track == track.rules.name)
        .where(col(Run.comparability_key).is_not(None))
        .group_by(col(Run.comparability_key))
        .order_by(
            newest_baseline.is_(None), newest_baseline.desc(), newest.desc(), Run.comparability_key
        )
    )
    proposed = _proposed_key(session, track)
    keys = [
        BoardKey(
            key=key,
            num_experiments=experiments,
            num_runs=runs,
            num_baseline_runs=baseline_runs,
            latest_at=latest_at,
            data=_data_state(track, key, proposed, verified_runs),
            note=note,
        )
        for key, experiments, runs, baseline_runs, latest_at, note, verified_runs in rows
    ]
    return tuple(sorted(keys, key=lambda k: (k.data is not DataState.PINNED, -k.num_baseline_runs)))


def _proposed_key(session: Session, track: Track) -> str | None:
    """The key of the first result that a trusted worker had; None for a track of pinned data."""
    rules = track.rules
    if rules.expected_data is not None:
        return None
    query = (
        select(Run.comparability_key)
        .join(Experiment, col(Experiment.hash) == col(Run.experiment_hash))
        .where(Experiment.track == rules.name, Experiment.track_version == rules.version)
        .where(col(Run.comparability_key).is_not(None))
        .where(Run.verification == Verification.TRUSTED)
    )
    return session.exec(query.order_by(col(Run.finished_at), col(Run.id)).limit(1)).first()


def _data_state(track: Track, key: str, proposed: str | None, verified_runs: int) -> DataState:
    rules = track.rules
    if rules.expected_data is not None:
        expected = rules.expected_data.comparability_key(rules.name, rules.version)
        return DataState.PINNED if key == expected else DataState.OTHER
    if key == proposed:
        return DataState.PROPOSED
    return DataState.OTHER if verified_runs else DataState.UNVERIFIED
