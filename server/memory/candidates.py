"""Experiments that may be near a config, found without reading all of them."""

from collections.abc import Collection, Iterable

from sqlalchemy import literal, union_all
from sqlmodel import Session, col, select

from server.memory.outcomes import is_measured
from server.memory.tables import ExperimentChange

MAX_CANDIDATES = 500
"""Experiments whose distance is worked out."""


def candidates(
    session: Session, track: str, key: str, paths: Collection[str], limit: int = MAX_CANDIDATES
) -> tuple[str, ...]:
    """Measured experiments to look at, the likeliest first.

    First come those that change the setting that fewest others change, then those of the next
    rarest. Where there is room left, those that change the least follow. Within each, those with
    fewer changes go first: every change that the config lacks makes the distance larger.

    Args:
        paths: settings that the config changes.
        limit: how many there are at most.
    """
    by_path = _sharing(session, track, key, paths, limit)
    rarest = sorted(by_path, key=lambda path: (len(by_path[path]), path))
    found = dict.fromkeys(identity for path in rarest for identity in by_path[path])
    if len(found) < limit:
        found |= dict.fromkeys(_plainest(session, track, key, limit))
    return tuple(found)[:limit]


def _sharing(
    session: Session, track: str, key: str, paths: Iterable[str], limit: int
) -> dict[str, list[str]]:
    """For each setting, experiments that change it, as many as are wanted of any."""
    parts = []
    for path in sorted(paths):
        change = ExperimentChange
        part = select(literal(path).label("path"), col(change.experiment_hash))
        part = part.where(change.track == track, change.path == path)
        part = part.where(is_measured(col(change.experiment_hash), key))
        part = part.order_by(col(change.num_changes), col(change.experiment_hash)).limit(limit)
        # A part with an order and a limit has to stand in brackets.
        parts.append(select(*part.subquery().c))
    found: dict[str, list[str]] = {}
    if parts:
        for path, identity in session.execute(union_all(*parts)):
            found.setdefault(path, []).append(identity)
    return found


def _plainest(session: Session, track: str, key: str, limit: int) -> list[str]:
    """Experiments that change the least."""
    change = ExperimentChange
    query = select(change.experiment_hash).where(change.track == track)
    query = query.where(is_measured(col(change.experiment_hash), key))
    query = query.order_by(col(change.num_changes), col(change.experiment_hash)).limit(limit)
    return list(session.exec(query))
