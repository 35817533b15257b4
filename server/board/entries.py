"""Writing an experiment's entry on a board anew, after anything that it shows has changed.

Every writer that changes what a board shows calls this in its own transaction, so that a reader
never sees a board that lags behind.
"""

import json
import uuid
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, select, update

from core.schema.overrides import Change, differences
from core.schema.result import Verification
from core.schema.track import Track
from server.board.tables import BoardEntry, BoardTotals, Place
from server.board_keys import baseline_hash
from server.experiments import stored_config
from server.pooling import MeasuredRun, PooledResult, pool
from server.run_labels import PROJECT, Label, known_labels
from server.tables import Experiment, Run, RunPurpose
from server.verdict.records import is_withdrawn, stored_judgement
from server.verdict.tables import JudgementRow

MAX_CHANGES = 3
"""Changed settings that a row names; the submission's page names all."""
MAX_NAME = 160


@dataclass(frozen=True)
class _Counted:
    """What an entry adds to its board's totals."""

    is_listed: bool = False
    is_ranked: bool = False
    is_baseline: bool = False
    num_results: int = 0
    num_verified: int = 0

    @classmethod
    def of(cls, entry: BoardEntry | None) -> "_Counted":
        if entry is None:
            return cls()
        place = entry.place
        return cls(
            is_listed=place is not Place.UNLISTED,
            is_ranked=place is Place.RANKED,
            is_baseline=place is Place.BASELINE,
            num_results=entry.num_results,
            num_verified=entry.num_verified,
        )


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
    labels = {baseline_hash(track): PROJECT} | known_labels(session, identities)
    for identity in identities:
        entry = session.get(BoardEntry, (key, identity))
        before = _Counted.of(entry)
        runs = _runs(session, key, identity)
        if runs:
            entry = _write(session, track, key, identity, runs, labels, totals.revision)
        elif entry is not None:
            session.delete(entry)
            entry = None
        _count(totals, before, _Counted.of(entry), runs)
    totals.first_trusted_at = _first_trusted(session, key)
    totals.version = uuid.uuid4().hex
    session.add(totals)
    session.flush()


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


def _runs(session: Session, key: str, identity: str) -> Sequence[Run]:
    """All runs with a result, in the order of seeds."""
    query = select(Run).where(Run.experiment_hash == identity, Run.comparability_key == key)
    query = query.where(col(Run.result).is_not(None)).order_by(col(Run.seed), col(Run.id))
    return session.exec(query).all()


def _write(
    session: Session,
    track: Track,
    key: str,
    identity: str,
    runs: Sequence[Run],
    labels: dict[str, Label],
    revision: int,
) -> BoardEntry:
    is_baseline = identity == baseline_hash(track)
    counting = [run for run in runs if not run.held_reason]
    if is_baseline:
        # Nothing is judged against what nobody verified.
        counting = [run for run in counting if _is_verified(run)]
    result = pool([MeasuredRun.of(run) for run in counting]) if counting else None
    experiment = session.get_one(Experiment, identity)
    changes = differences(track.base, stored_config(experiment))
    judgement = stored_judgement(session, identity, key)
    label = labels.get(identity) or Label(submission_id=None, name=identity[:12], author="project")
    values = {
        "place": _place(session, track, identity, runs, result),
        **label.model_dump(),
        "name": label.name[:MAX_NAME],
        "name_key": label.name[:MAX_NAME].casefold(),
        "changes": [change.model_dump(mode="json") for change in changes[:MAX_CHANGES]],
        "num_changes": len(changes),
        "search_text": search_text(label, changes),
        "verdict": judgement.verdict if judgement else None,
        "num_results": len(runs),
        "num_verified": sum(_is_verified(run) for run in runs),
        "verified": all(_is_verified(run) for run in counting),
        "first_trusted_at": _first_end(runs, Verification.TRUSTED),
        "newest_at": _newest(runs),
        "revision": revision,
        **_measured(result),
    }
    row = BoardEntry.model_validate(
        {"comparability_key": key, "experiment_hash": identity, **values}
    )
    return session.merge(row)


def _place(
    session: Session,
    track: Track,
    identity: str,
    runs: Sequence[Run],
    result: PooledResult | None,
) -> Place:
    if result is None or all(run.purpose is RunPurpose.ABLATION for run in runs):
        return Place.UNLISTED
    if identity == baseline_hash(track):
        return Place.BASELINE
    return Place.WITHDRAWN if is_withdrawn(session, identity) else Place.RANKED


def _measured(result: PooledResult | None) -> dict[str, Any]:
    """The pooled figures, and those of them that a board is sorted by."""
    if result is None:
        return {"result": None, "num_seeds": 0}
    scores = {task.name: task.acc_norm for task in result.tasks}
    columns = {
        "val_loss",
        "val_accuracy",
        "val_bpb",
        "tokens_per_second",
        "relative_speed",
        "peak_memory_bytes",
        "cost_usd",
        "num_seeds",
    }
    return {
        "result": result.model_dump(mode="json"),
        **result.model_dump(include=columns),
        **scores,
    }


def search_text(label: Label, changes: Sequence[Change]) -> str:
    """What a search looks through: the label, and a line for each changed setting."""
    lines = [f"{label.name} {label.author}"]
    lines += [setting_line(change.path, json.dumps(change.after)) for change in changes]
    return "\n" + "\n".join(lines).lower() + "\n"


def setting_line(path: str, value: str) -> str:
    """How a changed setting stands in the text, with its value as JSON."""
    return f"{path}={value}"


def _is_verified(run: Run) -> bool:
    return run.verification is not Verification.UNVERIFIED


def _first_end(runs: Sequence[Run], verification: Verification) -> datetime | None:
    ends = [run.finished_at for run in runs if run.verification is verification]
    return min(filter(None, ends), default=None)


def _first_trusted(session: Session, key: str) -> datetime | None:
    """When the first result of a trusted worker came to a board."""
    session.flush()
    trusted = select(BoardEntry.first_trusted_at).where(BoardEntry.comparability_key == key)
    trusted = trusted.where(col(BoardEntry.first_trusted_at).is_not(None))
    return session.exec(trusted.order_by(col(BoardEntry.first_trusted_at)).limit(1)).first()


def _newest(runs: Sequence[Run]) -> datetime | None:
    return max((run.finished_at for run in runs if run.finished_at), default=None)


def _count(totals: BoardTotals, before: _Counted, after: _Counted, runs: Sequence[Run]) -> None:
    """Take an entry's change into the totals of its board."""
    totals.num_listed += after.is_listed - before.is_listed
    totals.num_ranked += after.is_ranked - before.is_ranked
    totals.num_results += after.num_results - before.num_results
    totals.num_verified += after.num_verified - before.num_verified
    newest = _newest(runs)
    totals.latest_at = max(filter(None, (totals.latest_at, newest)), default=None)
    if before.is_baseline or after.is_baseline:
        verified = [run for run in runs if _is_verified(run)] if after.is_baseline else []
        totals.num_baseline_results = len(verified)
        totals.latest_baseline_at = _newest(verified)
    totals.note = max(totals.note, *(run.note for run in runs), "")
