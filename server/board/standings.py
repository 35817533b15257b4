"""The order of a whole board by loss, and its noise, kept in memory until the board changes."""

from bisect import bisect_left
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from threading import Lock

from sqlmodel import Session, col, select

from server.board.tables import BoardEntry, BoardTotals, Place
from server.verdict.board_losses import board_noise
from server.verdict.noise import Noise

MAX_BOARDS = 8
"""Boards kept: those that were read last."""


@dataclass(frozen=True)
class Standings:
    """Ranked experiments, the lowest loss first; equal losses in the order of their hashes."""

    losses: tuple[float, ...]
    hashes: tuple[str, ...]
    costs: tuple[float | None, ...]
    noise: Noise | None = None
    """Of the board."""

    def rank(self, loss: float) -> int:
        """Rank of a loss, from 1; equal losses share one."""
        return bisect_left(self.losses, loss) + 1

    def above(self, loss: float, experiment_hash: str) -> str | None:
        """The experiment just above another one; None above the first."""
        index = bisect_left(self.losses, loss)
        while index < len(self.hashes) and self.hashes[index] != experiment_hash:
            index += 1
        return self.hashes[index - 1] if 0 < index < len(self.hashes) else None

    @cached_property
    def frontier(self) -> tuple[int, ...]:
        """Places of those that no cheaper one beats, the cheapest first."""
        priced = [(cost, place) for place, cost in enumerate(self.costs) if cost is not None]
        found: list[int] = []
        for _, place in sorted(priced):
            if not found or place < found[-1]:
                found.append(place)
        return tuple(found)


_kept: OrderedDict[str, Standings] = OrderedDict()
_lock = Lock()


def standings(session: Session, key: str) -> Standings:
    """The standings of a board, as this session sees it."""
    query = select(BoardTotals.version).where(BoardTotals.comparability_key == key)
    version = session.exec(query).one_or_none() or ""
    with _lock:
        if known := _kept.get(version):
            _kept.move_to_end(version)
            return known
    read = _read(session, key)
    with _lock:
        _kept[version] = read
        while len(_kept) > MAX_BOARDS:
            _kept.popitem(last=False)
    return read


def _read(session: Session, key: str) -> Standings:
    columns = select(BoardEntry.val_loss, BoardEntry.experiment_hash, BoardEntry.cost_usd)
    ranked = columns.where(BoardEntry.comparability_key == key, BoardEntry.place == Place.RANKED)
    ordered = ranked.order_by(col(BoardEntry.val_loss), col(BoardEntry.experiment_hash))
    rows = session.exec(ordered).all()
    return Standings(
        losses=tuple(loss for loss, _, _ in rows if loss is not None),
        hashes=tuple(identity for _, identity, _ in rows),
        costs=tuple(cost for _, _, cost in rows),
        noise=board_noise(session, key),
    )
