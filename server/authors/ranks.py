"""Where each author's best experiment stands on the board of a track."""

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import case, func, select
from sqlmodel import Session, col

from core.schema.track import Track
from server.authors.owners import owned_experiments
from server.board_keys import baseline_hash, board_keys, shown_key
from server.memo import kept
from server.tables import Run, RunPurpose
from server.verdict.view import withdrawn_experiments


class BestRank(NamedTuple):
    """The best experiment of an author."""

    rank: int
    """As on the board: from 1 by mean validation loss, equal means sharing one."""
    experiment_hash: str
    val_loss: float
    """Mean."""
    num_ranked: int
    """Experiments that the board ranks."""


def best_ranks(session: Session, track: Track) -> Mapping[str, BestRank]:
    """The best rank of each author on the board that a track shows by default, by name."""
    key = shown_key(board_keys(session, track), track, None)
    if key is None:
        return {}
    return kept(session, ("best ranks", key), lambda: _best_ranks(session, track, key))


def _best_ranks(session: Session, track: Track, key: str) -> dict[str, BestRank]:
    # Joined here: SQLite has no index on either side and would compare every row with every other.
    owned = owned_experiments()
    owners = dict(session.execute(select(owned.c.experiment_hash, owned.c.author)).all())
    means = _ranked_means(session, track, key)
    best: dict[str, BestRank] = {}
    rank, before = 0, None
    for index, (identity, mean) in enumerate(means):
        if mean != before:
            rank, before = index + 1, mean
        author = owners.get(identity)
        if author is not None and author not in best:
            best[author] = BestRank(rank, identity, mean, len(means))
    return best


def _ranked_means(session: Session, track: Track, key: str) -> list[tuple[str, float]]:
    """The mean loss of every experiment that the board ranks, the lowest first."""
    mean = func.avg(Run.val_loss)
    listed = func.count(case((col(Run.purpose) != RunPurpose.ABLATION, 1)))
    query = (
        select(col(Run.experiment_hash), mean)
        .where(col(Run.comparability_key) == key, col(Run.held_reason) == "")
        .where(col(Run.val_loss).is_not(None))
        .group_by(col(Run.experiment_hash))
        .having(listed > 0)
        .order_by(mean, col(Run.experiment_hash))
    )
    left_out = {baseline_hash(track), *withdrawn_experiments(session, track.rules.name)}
    found = session.execute(query)
    return [(identity, loss) for identity, loss in found if identity not in left_out]
