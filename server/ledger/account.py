"""What stands by the entries of the ledger, and whether the database says the same.

Results have their own check, by digests. Here is what decides how they count: which experiment
and which board a run is of, which runs are held, what verdicts and records there are.
"""

import hashlib
from collections.abc import Iterator

from pydantic import JsonValue
from sqlmodel import Session, col, select

from core.schema.ledger import LedgerEntry, LedgerKind
from server.access.tables import WorkerToken
from server.tables import Run, SubmissionRow
from server.verdict.tables import JudgementRow, RecordRow

Claim = tuple[str, ...]
"""What is said, and the ids of what it is said of."""

MAY_BE_OLDER = ("run", "board", "submission")
"""What came with the project, or before there was a ledger, was never entered."""
VERDICT_VALUES = (
    "verdict",
    "num_runs",
    "num_baseline_runs",
    "further_runs",
    "delta",
    "low",
    "high",
)
"""What is said of a verdict, in the entry and in the row."""


FREES = ("thawed", "released")
"""States of a worker's entry after which the runs that it names are held no longer."""
MARKS = ("trusted", "distrusted")
"""States of the entry that tells of a maintainer's mark."""


class Account:
    """Adds entries up to what stands after the last of them."""

    def __init__(self) -> None:
        self._told: dict[Claim, JsonValue] = {}

    def take(self, entry: LedgerEntry) -> None:
        """Add the next entry."""
        told, contents, subject = self._told, entry.contents, entry.subject
        if entry.kind is LedgerKind.RUN:
            told["run", subject] = _listed(contents, "experiment", "seed", "purpose")
        elif entry.kind is LedgerKind.RESULT and "key" in contents:
            told["board", subject] = contents["key"]
        elif entry.kind is LedgerKind.SUBMISSION:
            names = ("author", "track", "experiment", "run", "yaml")
            told["submission", subject] = _listed(contents, *names)
        elif entry.kind is LedgerKind.VERDICT:
            claim = ("verdict", subject, str(contents["key"]))
            # An entry without the verdict before it is older than the rule that each one tells of
            # every move of the interval.
            values = VERDICT_VALUES if "before" in contents else VERDICT_VALUES[:2]
            told[claim] = _listed(contents, *values) if contents["verdict"] else None
        elif entry.kind is LedgerKind.RECORD:
            claim = ("record", subject, str(contents["key"]))
            told[claim] = contents["state"] == "set" or None
        elif entry.kind is LedgerKind.WORKER and isinstance(runs := contents.get("runs"), list):
            for run_id in runs:
                told["hold", str(run_id)] = contents["state"] not in FREES or None
        elif entry.kind is LedgerKind.WORKER and contents.get("state") in MARKS:
            told["trust", subject] = contents["state"] == MARKS[0] or None

    def differences(self, session: Session) -> Iterator[str]:
        """What the database says otherwise, a sentence each."""
        stored = dict(_stored(session))
        for claim in sorted(self._told.keys() | stored.keys()):
            told, found = self._told.get(claim), stored.get(claim)
            kind, *subjects = claim
            if _agree(told, found) or (claim not in self._told and kind in MAY_BE_OLDER):
                continue
            state = "is not as it was entered"
            if told is None or found is None:
                state = "was never entered" if told is None else "is gone"
            yield f"the {kind} of {' under '.join(subjects)} {state}."


def _agree(told: JsonValue, found: JsonValue) -> bool:
    """Whether the database says what was entered; it may say more than an older entry."""
    if isinstance(told, list) and isinstance(found, list):
        return told == found[: len(told)]
    return told == found


def _listed(contents: dict[str, JsonValue], *names: str) -> list[JsonValue]:
    return [contents.get(name) for name in names]


def _stored(session: Session) -> Iterator[tuple[Claim, JsonValue]]:
    runs = select(  # type: ignore[call-overload]
        Run.id, Run.experiment_hash, Run.seed, Run.purpose, Run.comparability_key, Run.held_reason
    )
    for run_id, experiment, seed, purpose, key, held_reason in session.exec(runs):
        yield ("run", run_id), [experiment, seed, purpose.value]
        yield ("board", run_id), key
        yield ("hold", run_id), bool(held_reason) or None
    marked = select(WorkerToken.worker_id).where(WorkerToken.trusted_by != "")
    for worker_id in session.exec(marked):
        yield ("trust", worker_id), True
    for row in session.exec(select(SubmissionRow)):
        digest = hashlib.sha256(row.yaml.encode()).hexdigest()
        values = [row.author, row.track, row.experiment_hash, row.run_id, digest]
        yield ("submission", row.id), list[JsonValue](values)
    for judgement in session.exec(select(JudgementRow)):
        claim = ("verdict", judgement.experiment_hash, judgement.comparability_key)
        yield claim, _listed(judgement.model_dump(include=set(VERDICT_VALUES)), *VERDICT_VALUES)
    is_open = col(RecordRow.lost_at).is_(None)
    records = select(RecordRow.experiment_hash, RecordRow.comparability_key).where(is_open)
    for experiment, key in session.exec(records.distinct()):
        yield ("record", experiment, key), True
