"""The board of a track: experiments ranked by mean validation loss under one key."""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from pydantic import AwareDatetime
from sqlmodel import Session, col, select

from core.schema.base import Message
from core.schema.job import JobState
from core.schema.overrides import Change
from core.schema.track import Track
from server.board.kept_standings import standings
from server.board.query import BoardQuery, SortColumn
from server.board.standings import Standing, Standings
from server.board.tables import BoardEntry, Place
from server.board_keys import BoardKey, board_keys, shown_key
from server.pooling import PooledResult
from server.run_labels import PROJECT, Label, known_labels
from server.standing import (
    RunStanding,
    active_runs,
    count_active,
    count_active_runs,
    ended_runs,
)
from server.verdict.board_losses import losses_by_experiment
from server.verdict.judge import Verdict, judge_pair
from server.verdict.rerun_outcomes import RerunNote, rerun_notes
from server.verdict.view import BoardVerdicts, ExperimentVerdict, WithdrawnNote, board_verdicts

MAX_NAMED = 500
"""Rows that are sorted by another column one by one; among more, a page of them is found in the
order of that column's index."""
WHOLE_BOARD = BoardQuery()
"""The first page of the default board, by loss."""


class BoardRow(Label):
    """An experiment and the figures of its runs under the board's key."""

    rank: int | None
    """From 1 by mean validation loss; None for the baseline and for what was withdrawn."""
    is_tied: bool
    """Whether the difference from the ranked row above is within the noise."""
    is_baseline: bool
    """Whether this is the track's base config."""
    experiment_hash: str
    """Identity of the experiment."""
    changes: tuple[Change, ...]
    """The first settings that differ from the baseline."""
    num_changes: int
    """How many differ."""
    result: PooledResult
    """Figures of the runs."""
    delta: float | None
    """Mean validation loss less the baseline's; None without a baseline and for itself."""
    verdict: ExperimentVerdict | None
    """Against the baseline; None for the baseline itself, and while there is none."""
    verified: bool
    """Whether trusted workers measured it, or measured the same as others did. What is not
    verified takes no record."""
    withdrawn: WithdrawnNote | None
    """Why it does not count, if its authors took it back."""
    reruns: tuple[RerunNote, ...]
    """Who asked for more runs of it and what came out, the newest three first."""
    newest_at: AwareDatetime | None
    """When its newest run ended."""
    num_active_runs: int
    """Further runs of it that are queued or running."""
    num_ended_runs: int
    """Runs of it that failed or were cancelled, among those that the board lists."""


class WaitingRow(Label):
    """A run without a result."""

    run: RunStanding
    """Where it stands."""


class Leaderboard(Message):
    """A track's board under one comparability key."""

    track: str
    """Track name."""
    key: str | None
    """The key that is shown; None while the track has no results."""
    keys: tuple[BoardKey, ...]
    """Every key of the track, the one that is shown by default first."""
    baseline: BoardRow | None
    """The baseline's row."""
    rows: tuple[BoardRow, ...]
    """A page of all other experiments in the order asked for, behind them what was withdrawn."""
    query: BoardQuery
    """What was asked for."""
    num_rows: int
    """Rows on all pages."""
    num_ranked: int
    """Those of them that were not withdrawn."""
    num_pages: int
    """Pages; at least one."""
    pending: str
    """Why rows without a verdict have none; empty without a board."""
    active: tuple[WaitingRow, ...]
    """Runs of the track that are running or queued, whatever their key will be: those that run, and
    then the next ones, at most 50."""
    num_running: int
    """Runs of the track that are running."""
    num_queued: int
    """Runs of the track that are queued."""
    ended: tuple[WaitingRow, ...]
    """Runs of the track that failed or were cancelled, the newest first, at most 50."""
    tasks: tuple[str, ...]
    """The track's multiple-choice tasks, in the order of the columns."""


def leaderboard(session: Session, track: Track, query: BoardQuery = WHOLE_BOARD) -> Leaderboard:
    """A page of a track's board.

    Raises:
        NotFound: the track has no result under that key.
    """
    keys = board_keys(session, track)
    key = shown_key(keys, track, query.key)
    active = active_runs(session, track.rules.name)
    ended = ended_runs(session, track.rules.name)
    num_active = count_active(session, track.rules.name)
    labels = _labels(session, (*active, *ended))
    chosen = _Chosen(by_place={})
    baseline, rows, pending = None, tuple[BoardRow, ...](), ""
    if key is not None:
        entry = _baseline(session, key)
        order = standings(session, key)
        chosen = _Chosen.of(order, query)
        entries = _entries(session, key, query, chosen)
        shown = [*([entry] if entry else []), *entries]
        context = _Context(session, key, order, shown, ended)
        baseline = context.row(entry) if entry else None
        rows = tuple(context.row(one) for one in entries)
        pending = context.verdicts.pending
    num_ranked = chosen.count(Place.RANKED)
    num_rows = num_ranked + chosen.count(Place.WITHDRAWN)
    return Leaderboard(
        track=track.rules.name,
        key=key,
        keys=keys,
        baseline=baseline,
        rows=rows,
        query=query,
        num_rows=num_rows,
        num_ranked=num_ranked,
        num_pages=max(1, -(-num_rows // query.page_rows)),
        pending=pending,
        active=tuple(_waiting(run, labels) for run in active),
        num_running=num_active[JobState.RUNNING],
        num_queued=num_active[JobState.QUEUED],
        ended=tuple(_waiting(run, labels) for run in ended),
        tasks=track.base.evaluation.tasks,
    )


def rows_of_entries(
    session: Session, track: Track, key: str, entries: Sequence[BoardEntry]
) -> tuple[BoardRow, ...]:
    """Some entries of a board as rows, without the runs of them that go on or failed."""
    baseline = _baseline(session, key)
    shown = entries if baseline is None or baseline in entries else (baseline, *entries)
    context = _Context(session, key, standings(session, key), shown, ())
    return tuple(context.row(entry) for entry in entries)


def _labels(session: Session, runs: Collection[RunStanding]) -> dict[str, Label]:
    """The labels of runs and their experiments, by id or hash.

    A run's own submission goes by the run's id, so that an author who sent an experiment
    again finds the seed under the name that he gave it.
    """
    return known_labels(session, sorted({run.experiment_hash for run in runs}))


def _waiting(run: RunStanding, labels: dict[str, Label]) -> WaitingRow:
    label = labels.get(run.run_id) or labels.get(run.experiment_hash, PROJECT)
    return WaitingRow(**label.model_dump(), run=run)


def _baseline(session: Session, key: str) -> BoardEntry | None:
    query = select(BoardEntry).where(BoardEntry.comparability_key == key)
    return session.exec(query.where(BoardEntry.place == Place.BASELINE)).first()


@dataclass(frozen=True, kw_only=True)
class _Chosen:
    """Standings that are asked for, by where a board shows them, in its order."""

    by_place: Mapping[Place, Sequence[Standing]]

    @classmethod
    def of(cls, board: Standings, query: BoardQuery) -> "_Chosen":
        return cls(
            by_place={
                Place.RANKED: query.narrowed(board.ranked),
                Place.WITHDRAWN: query.narrowed(board.withdrawn),
            }
        )

    def count(self, place: Place) -> int:
        """How many of them stand there; none without a board."""
        return len(self.by_place.get(place, ()))


def _entries(session: Session, key: str, query: BoardQuery, chosen: _Chosen) -> list[BoardEntry]:
    """The entries of a page: those that are ranked, and after the last of them the withdrawn."""
    start = (query.page - 1) * query.page_rows
    found: list[BoardEntry] = []
    for place, rows in chosen.by_place.items():
        wanted = query.page_rows - len(found)
        if wanted > 0 and start < len(rows):
            found += _entries_among(session, key, query, place, rows, start, wanted)
        start = max(0, start - len(rows))
    return found


def _entries_among(
    session: Session,
    key: str,
    query: BoardQuery,
    place: Place,
    rows: Sequence[Standing],
    start: int,
    wanted: int,
) -> Sequence[BoardEntry]:
    """Some of the chosen rows of a place in the order asked for."""
    entries = select(BoardEntry).where(BoardEntry.comparability_key == key)
    entries = entries.order_by(*query.ordering())
    identity = col(BoardEntry.experiment_hash)
    if query.sort is SortColumn.LOSS:
        end = len(rows) - start
        shown = rows[max(0, end - wanted) : end] if query.is_descending else rows[start:][:wanted]
        entries = entries.where(identity.in_([one.experiment_hash for one in shown]))
    elif len(rows) <= MAX_NAMED:
        entries = entries.where(identity.in_([one.experiment_hash for one in rows]))
        entries = entries.offset(start).limit(wanted)
    else:
        # So many are found soon in the order of an index.
        entries = entries.where(BoardEntry.place == place).where(*query.filters())
        entries = entries.offset(start).limit(wanted)
    return session.exec(entries).all()


def _delta(loss: float | None, base_loss: float | None) -> float | None:
    return None if loss is None or base_loss is None else loss - base_loss


class _Context:
    """What the rows of a page have in common, read once."""

    def __init__(
        self,
        session: Session,
        key: str,
        order: Standings,
        entries: Sequence[BoardEntry],
        ended: Collection[RunStanding],
    ) -> None:
        identities = {entry.experiment_hash for entry in entries}
        base = next((entry for entry in entries if entry.place is Place.BASELINE), None)
        num_baseline_runs = base.num_seeds if base else 0
        self._base_loss = base.val_loss if base else None
        self._standings = order
        self._reruns = rerun_notes(session, key, identities)
        self._active = count_active_runs(session, identities)
        self._ended = Counter(run.experiment_hash for run in ended)
        self._tied = self._ties(session, key, entries)
        self.verdicts: BoardVerdicts = board_verdicts(session, key, num_baseline_runs, identities)

    def row(self, entry: BoardEntry) -> BoardRow:
        """An entry as a row."""
        identity, place = entry.experiment_hash, entry.place
        is_ranked, is_baseline = place is Place.RANKED, place is Place.BASELINE
        loss = entry.val_loss
        return BoardRow.model_validate(
            {
                "submission_id": entry.submission_id,
                "name": entry.name,
                "author": entry.author,
                "rank": self._standings.rank(loss) if is_ranked and loss is not None else None,
                "is_tied": identity in self._tied,
                "is_baseline": is_baseline,
                "experiment_hash": identity,
                "changes": tuple(Change.model_validate(change) for change in entry.changes),
                "num_changes": entry.num_changes,
                "result": PooledResult.model_validate_json(json.dumps(entry.result)),
                "delta": _delta(loss, None if is_baseline else self._base_loss),
                "verdict": None if is_baseline else self.verdicts.of.get(identity),
                "verified": entry.verified,
                "withdrawn": None if is_baseline else self.verdicts.withdrawn.get(identity),
                "reruns": self._reruns.get(identity, ()),
                "newest_at": entry.newest_at,
                "num_active_runs": self._active.get(identity, 0),
                "num_ended_runs": self._ended[identity],
            }
        )

    def _ties(self, session: Session, key: str, entries: Sequence[BoardEntry]) -> set[str]:
        """Experiments that are not surely worse than the one ranked above them."""
        above = {
            entry.experiment_hash: other
            for entry in entries
            if entry.place is Place.RANKED and entry.val_loss is not None
            if (other := self._standings.above(entry.val_loss, entry.experiment_hash))
        }
        losses = losses_by_experiment(session, key, {*above, *above.values()})
        noise = self._standings.noise
        tied = set()
        for identity, other in above.items():
            pair = judge_pair(losses[identity], losses[other], noise)
            # Ranks go by all runs and verdicts by those of a look, so that the row may be better.
            if pair is None or pair.verdict is not Verdict.WORSE:
                tied.add(identity)
        return tied
