"""The order of a whole board by loss, with all that its rows are filtered by, and its noise."""

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from server.verdict.judge import Verdict
from server.verdict.noise import Noise, Spread, pooled_spreads


class Standing(NamedTuple):
    """An experiment on a board. In the order of these, the lowest loss comes first."""

    val_loss: float
    experiment_hash: str
    cost_usd: float | None = None
    author: str = ""
    verdict: Verdict | None = None
    verified: bool = True
    search_text: str = ""


@dataclass(frozen=True)
class Standings:
    """All experiments of a board but the baseline, in order; equal losses by their hashes."""

    ranked: Sequence[Standing] = ()
    withdrawn: Sequence[Standing] = ()
    frontier: Sequence[Standing] = ()
    """Those of the ranked that no cheaper one beats, the cheapest first."""
    spreads: Mapping[str, Spread] | None = None
    """By the hash of each experiment that ran more than once."""
    noise: Noise | None = None

    @classmethod
    def of(
        cls,
        ranked: Sequence[Standing],
        withdrawn: Sequence[Standing] = (),
        spreads: Mapping[str, Spread] | None = None,
    ) -> "Standings":
        """The standings of these rows, which are in order."""
        noise = pooled_spreads(spreads.values()) if spreads else None
        return cls(ranked, withdrawn, _frontier(ranked), spreads, noise)

    def rank(self, loss: float) -> int:
        """Rank of a loss, from 1; equal losses share one."""
        # A shorter tuple comes before all that begin as it does.
        return bisect_left(self.ranked, (loss,)) + 1

    def above(self, loss: float, experiment_hash: str) -> str | None:
        """The experiment just above a ranked one; None above the first."""
        place = _find(self.ranked, loss, experiment_hash)
        return self.ranked[place - 1].experiment_hash if place else None

    def changed(self, change: "StandingsChange") -> "Standings":
        """The standings after a change, which takes no time for rows that it leaves as they are."""
        ranked = _replaced(self.ranked, change.before, change.ranked)
        frontier = self.frontier
        if any(one in frontier for one in change.before) or not all(
            _is_beaten(one, frontier) for one in change.ranked
        ):
            frontier = _frontier(ranked)
        spreads, noise = self.spreads or {}, self.noise
        former = {one: spreads[one] for one in change.experiments if one in spreads}
        if former != change.spreads:
            kept = {one: spread for one, spread in spreads.items() if one not in former}
            spreads = {**kept, **change.spreads}
            noise = pooled_spreads(spreads.values())
        withdrawn = _replaced(self.withdrawn, change.before, change.withdrawn)
        return Standings(ranked, withdrawn, frontier, spreads, noise)


@dataclass(frozen=True, kw_only=True)
class StandingsChange:
    """What became of some experiments of a board."""

    experiments: Collection[str]
    """Their hashes."""
    before: Collection[Standing]
    """Those of them that were ranked or withdrawn, as they were."""
    ranked: Collection[Standing]
    """Those that are ranked now."""
    withdrawn: Collection[Standing]
    """Those that are withdrawn now."""
    spreads: Mapping[str, Spread]
    """Of those that ran more than once."""


def _frontier(ranked: Sequence[Standing]) -> list[Standing]:
    found: list[Standing] = []
    lowest = float("inf")
    for one in ranked:
        if one.cost_usd is not None and one.cost_usd < lowest:
            lowest = one.cost_usd
            found.append(one)
    return found[::-1]


def _is_beaten(one: Standing, frontier: Sequence[Standing]) -> bool:
    """Whether another one is as cheap and ranks before it, or it has no price."""
    cost = one.cost_usd
    if cost is None:
        return True
    return any(
        other.cost_usd is not None and other.cost_usd <= cost and other[:2] < one[:2]
        for other in frontier
    )


def _replaced(
    rows: Sequence[Standing], before: Collection[Standing], now: Collection[Standing]
) -> Sequence[Standing]:
    """Rows in order, without what some were and with what they are."""
    kept = list(rows)
    for one in before:
        place = _find(kept, one.val_loss, one.experiment_hash)
        if place is not None:
            del kept[place]
    for one in now:
        kept.insert(bisect_left(kept, one[:2]), one)
    return kept


def _find(rows: Sequence[Standing], loss: float, experiment_hash: str) -> int | None:
    """Where an experiment stands; None if it does not."""
    # Hashes are distinct, so that no comparison goes beyond them.
    place = bisect_left(rows, (loss, experiment_hash))
    is_there = place < len(rows) and rows[place].experiment_hash == experiment_hash
    return place if is_there else None
