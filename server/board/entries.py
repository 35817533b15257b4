"""Writing an experiment's entry on a board anew, after anything that it shows has changed.

Every writer that changes what a board shows calls this in its own transaction; results do when they
are settled.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any, NamedTuple, Self

from sqlalchemy import Connection, and_, bindparam, delete
from sqlalchemy import select as select_columns
from sqlmodel import Session, col, select, update

from core.schema.track import Track
from server.board.entry_rows import (
    IDENTITIES,
    MEASURED,
    EntryRows,
    MeasuredRow,
    is_verified,
    newest_end,
)
from server.board.tables import BoardEntry, BoardTotals, Place
from server.tables import Experiment, Run, table_of
from server.verdict.tables import JudgementRow

ENTRIES_AT_A_TIME = 500
"""Databases bound the values that a statement may name."""

ENTRY = table_of(BoardEntry)
OF_ENTRIES = and_(
    ENTRY.c.comparability_key == bindparam("key"), ENTRY.c.experiment_hash.in_(IDENTITIES)
)
COUNTED = select_columns(
    ENTRY.c.experiment_hash, ENTRY.c.place, ENTRY.c.num_results, ENTRY.c.num_verified
).where(OF_ENTRIES)
GONE = delete(ENTRY).where(OF_ENTRIES)
NEW = ENTRY.insert()
CHANGED = (
    update(ENTRY)
    .where(ENTRY.c.comparability_key == bindparam("changed_key"))
    .where(ENTRY.c.experiment_hash == bindparam("changed_hash"))
)


class _Counted(NamedTuple):
    """What an entry adds to its board's totals."""

    place: Place = Place.UNLISTED
    num_results: int = 0
    num_verified: int = 0

    @classmethod
    def of(cls, row: Mapping[str, Any] | None) -> Self:
        """What an entry that is written anew adds."""
        return cls() if row is None else cls(*(row[name] for name in cls._fields))

    @property
    def is_listed(self) -> bool:
        return self.place is not Place.UNLISTED

    @property
    def is_ranked(self) -> bool:
        return self.place is Place.RANKED

    @property
    def is_baseline(self) -> bool:
        return self.place is Place.BASELINE


def refresh_entries(session: Session, track: Track, key: str, experiments: Iterable[str]) -> None:
    """Write the entries of some experiments on a board anew.

    Args:
        track: whose baseline the settings are held against.
        key: the board's comparability key.
    """
    identities = sorted(set(experiments))
    if not identities:
        return
    session.flush()
    totals = _totals(session, track, key, identities[0])
    totals.revision += 1
    for start in range(0, len(identities), ENTRIES_AT_A_TIME):
        some = identities[start : start + ENTRIES_AT_A_TIME]
        _refresh_some(session, track, totals, some)
    totals.first_trusted_at = _first_trusted(session, key)
    totals.version = uuid.uuid4().hex
    session.add(totals)
    session.flush()


def _refresh_some(
    session: Session, track: Track, totals: BoardTotals, identities: Sequence[str]
) -> None:
    key, connection = totals.comparability_key, session.connection()
    asked = {"key": key, "identities": identities}
    before = {row.experiment_hash: _Counted(*row[1:]) for row in connection.execute(COUNTED, asked)}
    runs: dict[str, list[MeasuredRow]] = {identity: [] for identity in identities}
    for identity, *measured in connection.execute(MEASURED, asked):
        runs[identity].append(MeasuredRow(*measured))
    writer = EntryRows(session, track, key, [identity for identity in identities if runs[identity]])
    rows = {
        identity: {**writer.row(identity, same), "revision": totals.revision}
        for identity, same in runs.items()
        if same
    }
    _put(connection, rows, before.keys(), key)
    if gone := before.keys() - rows.keys():
        connection.execute(GONE, {"key": key, "identities": sorted(gone)})
    for identity, same in runs.items():
        now = _Counted.of(rows.get(identity))
        _count(totals, before.get(identity, _Counted()), now, same)


def refresh_experiment(session: Session, track: Track, identity: str) -> None:
    """Write an experiment's entries anew on every board that has one."""
    boards = select(BoardEntry.comparability_key).where(BoardEntry.experiment_hash == identity)
    for key in session.exec(boards).all():
        refresh_entries(session, track, key, {identity})


def refresh_verdicts(
    session: Session, key: str, experiments: AbstractSet[str] | None = None
) -> None:
    """Copy the verdicts of some experiments, or of a whole board, after they were taken anew."""
    session.flush()
    # Counted by the database, which locks the row: not every caller has.
    board = update(BoardTotals).where(col(BoardTotals.comparability_key) == key)
    counted = board.values(version=uuid.uuid4().hex, revision=col(BoardTotals.revision) + 1)
    revision = session.execute(counted.returning(col(BoardTotals.revision))).scalar_one_or_none()
    if revision is None:
        return
    verdict = (
        select(JudgementRow.verdict)
        .where(JudgementRow.comparability_key == key)
        .where(JudgementRow.experiment_hash == BoardEntry.experiment_hash)
        .scalar_subquery()
    )
    entries = update(BoardEntry).where(col(BoardEntry.comparability_key) == key)
    entries = entries.where(col(BoardEntry.verdict).is_distinct_from(verdict))
    if experiments is not None:
        entries = entries.where(col(BoardEntry.experiment_hash).in_(experiments))
    entries = entries.values(verdict=verdict, revision=revision)
    session.exec(entries.execution_options(synchronize_session="fetch"))


def fill_boards(session: Session, tracks: Iterable[Track]) -> int:
    """Write the boards that results have and no entry tells of, as after an upgrade; how many.

    Entries do not change by themselves, so that this costs a server that has them one query.
    """
    by_name = {track.rules.name: track for track in tracks}
    known = select(BoardTotals.comparability_key)
    query = (
        select(Run.comparability_key, Experiment.track, Run.experiment_hash)
        .join(Experiment, col(Experiment.hash) == col(Run.experiment_hash))
        .where(col(Run.comparability_key).is_not(None))
        .where(col(Run.comparability_key).not_in(known))
        .distinct()
    )
    boards: dict[tuple[str, str], set[str]] = {}
    for key, name, identity in session.exec(query).all():
        if key is not None and name in by_name:
            boards.setdefault((name, key), set()).add(identity)
    for (name, key), identities in boards.items():
        refresh_entries(session, by_name[name], key, identities)
    return len(boards)


def _totals(session: Session, track: Track, key: str, identity: str) -> BoardTotals:
    totals = session.get(BoardTotals, key, with_for_update=True)
    if totals is None:
        # A key holds the version of the track, so that one experiment tells it.
        version = session.get_one(Experiment, identity).track_version
        row = {"comparability_key": key, "track": track.rules.name, "track_version": version}
        totals = BoardTotals.model_validate({**row, "version": uuid.uuid4().hex})
    return totals


def _put(
    connection: Connection, rows: Mapping[str, dict[str, Any]], known: AbstractSet[str], key: str
) -> None:
    """Change the entries that are there, and add the others."""
    new = [
        {"comparability_key": key, "experiment_hash": identity, **row}
        for identity, row in rows.items()
        if identity not in known
    ]
    changed = [
        {"changed_key": key, "changed_hash": identity, **row}
        for identity, row in rows.items()
        if identity in known
    ]
    if new:
        connection.execute(NEW, new)
    if changed:
        connection.execute(CHANGED, changed)


def _first_trusted(session: Session, key: str) -> datetime | None:
    """When the first result of a trusted worker came to a board."""
    session.flush()
    trusted = select(BoardEntry.first_trusted_at).where(BoardEntry.comparability_key == key)
    trusted = trusted.where(col(BoardEntry.first_trusted_at).is_not(None))
    return session.exec(trusted.order_by(col(BoardEntry.first_trusted_at)).limit(1)).first()


def _count(
    totals: BoardTotals, before: _Counted, after: _Counted, runs: Sequence[MeasuredRow]
) -> None:
    """Take an entry's change into the totals of its board."""
    totals.num_listed += after.is_listed - before.is_listed
    totals.num_ranked += after.is_ranked - before.is_ranked
    totals.num_results += after.num_results - before.num_results
    totals.num_verified += after.num_verified - before.num_verified
    newest = newest_end(runs)
    totals.latest_at = max(filter(None, (totals.latest_at, newest)), default=None)
    if before.is_baseline or after.is_baseline:
        verified = [run for run in runs if is_verified(run)] if after.is_baseline else []
        totals.num_baseline_results = len(verified)
        totals.latest_baseline_at = newest_end(verified)
    totals.note = max(totals.note, *(run.note for run in runs), "")
