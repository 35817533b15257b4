"""The comparability keys that a track's results have: one board for each."""

import math
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from pydantic import AwareDatetime
from sqlmodel import Session, select

from core.schema.base import Message
from core.schema.canonical import experiment_hash
from core.schema.track import Track
from server.board.tables import BoardTotals
from server.errors import NotFound


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
    """Experiments that the board lists; mere ablations are not."""
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
    query = select(BoardTotals).where(BoardTotals.track == track.rules.name)
    boards = session.exec(query.where(BoardTotals.num_results > 0).order_by("comparability_key"))
    newest = sorted(
        boards, key=lambda board: (_age(board.latest_baseline_at), _age(board.latest_at))
    )
    proposed = _proposed_key(track, newest)
    keys = [
        BoardKey(
            key=board.comparability_key,
            num_experiments=board.num_listed,
            num_runs=board.num_results,
            num_baseline_runs=board.num_baseline_results,
            latest_at=board.latest_at,
            data=_data_state(track, board, proposed),
            note=board.note,
        )
        for board in newest
    ]
    return tuple(sorted(keys, key=lambda k: (k.data is not DataState.PINNED, -k.num_baseline_runs)))


def _age(moment: datetime | None) -> float:
    """Seconds before the epoch, so that the newest comes first and what never was last."""
    return math.inf if moment is None else -moment.timestamp()


def _proposed_key(track: Track, boards: Sequence[BoardTotals]) -> str | None:
    """The key of the first result that a trusted worker had; None for a track of pinned data."""
    if track.rules.expected_data is not None:
        return None
    trusted = [
        (board.first_trusted_at, board.comparability_key)
        for board in boards
        if board.first_trusted_at is not None and board.track_version == track.rules.version
    ]
    return min(trusted)[1] if trusted else None


def _data_state(track: Track, board: BoardTotals, proposed: str | None) -> DataState:
    rules = track.rules
    if rules.expected_data is not None:
        expected = rules.expected_data.comparability_key(rules.name, rules.version)
        return DataState.PINNED if board.comparability_key == expected else DataState.OTHER
    if board.comparability_key == proposed:
        return DataState.PROPOSED
    return DataState.OTHER if board.num_verified else DataState.UNVERIFIED
