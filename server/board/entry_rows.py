"""What an entry of a board says of an experiment: worked out from all runs that have a result."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import BindParameter, Text, bindparam, cast, select
from sqlmodel import Session

from core.schema.experiment import ExperimentConfig
from core.schema.overrides import Change, differences
from core.schema.result import RunResult, Verification
from core.schema.track import Track
from server.board.tables import Place
from server.board_keys import baseline_hash
from server.pooling import MeasuredRun, PooledResult, pool
from server.run_labels import PROJECT, Label, known_labels
from server.tables import Experiment, Run, RunPurpose, table_of
from server.verdict.judge import Verdict
from server.verdict.records import withdrawn_among
from server.verdict.tables import JudgementRow

MAX_CHANGES = 3
"""Changed settings that a row names; the submission's page names all."""
MAX_NAME = 160
TASKS = ("arc_challenge", "arc_easy", "hellaswag", "synthetic_world")
"""Tasks whose scores a board is sorted by."""
FIGURES = (
    "val_loss",
    "val_accuracy",
    "val_bpb",
    "tokens_per_second",
    "relative_speed",
    "peak_memory_bytes",
    "cost_usd",
)
"""Pooled figures that a board is sorted by, those of tasks and the number of seeds apart."""

RUN, EXPERIMENT, JUDGEMENT = table_of(Run), table_of(Experiment), table_of(JudgementRow)
IDENTITIES: BindParameter[str] = bindparam("identities", expanding=True)
MEASURED = (
    select(
        RUN.c.experiment_hash,
        cast(RUN.c.result, Text),
        RUN.c.cost_usd,
        RUN.c.held_reason,
        RUN.c.verification,
        RUN.c.purpose,
        RUN.c.finished_at,
        RUN.c.note,
    )
    .where(RUN.c.comparability_key == bindparam("key"), RUN.c.experiment_hash.in_(IDENTITIES))
    .where(RUN.c.result.is_not(None))
    .order_by(RUN.c.seed, RUN.c.id)
)
CONFIGS = select(EXPERIMENT.c.hash, cast(EXPERIMENT.c.config, Text).label("config")).where(
    EXPERIMENT.c.hash.in_(IDENTITIES)
)
VERDICTS = (
    select(JUDGEMENT.c.experiment_hash, JUDGEMENT.c.verdict)
    .where(JUDGEMENT.c.comparability_key == bindparam("key"))
    .where(JUDGEMENT.c.experiment_hash.in_(IDENTITIES))
)


class MeasuredRow(NamedTuple):
    """What a run with a result adds to its experiment's entry."""

    result: str
    """As JSON."""
    cost_usd: float | None
    held_reason: str
    verification: Verification
    purpose: RunPurpose
    finished_at: datetime | None
    note: str

    def read(self) -> MeasuredRun:
        """Its figures."""
        return MeasuredRun(RunResult.model_validate_json(self.result), self.cost_usd)


class EntryRows:
    """Works out the entries of some experiments on a board, all of which have a result."""

    def __init__(self, session: Session, track: Track, key: str, identities: Sequence[str]) -> None:
        self._base = track.base
        self._baseline_hash = baseline_hash(track)
        self._labels = {self._baseline_hash: PROJECT} | known_labels(session, identities)
        self._withdrawn = withdrawn_among(session, identities)
        connection, asked = session.connection(), {"key": key, "identities": identities}
        self._configs = {row.hash: row.config for row in connection.execute(CONFIGS, asked)}
        found = connection.execute(VERDICTS, asked)
        self._verdicts = {row.experiment_hash: row.verdict for row in found}

    def row(self, identity: str, runs: Sequence[MeasuredRow]) -> dict[str, Any]:
        """An experiment's entry, without its key.

        Args:
            runs: all that have a result, in the order of seeds.
        """
        counting = [run for run in runs if not run.held_reason]
        if identity == self._baseline_hash:
            # Nothing is judged against what nobody verified.
            counting = [run for run in counting if is_verified(run)]
        result = pool([run.read() for run in counting]) if counting else None
        config = ExperimentConfig.model_validate_json(self._configs[identity])
        changes = differences(self._base, config)
        label = self._labels.get(identity) or Label(
            submission_id=None, name=identity[:12], author="project"
        )
        verdict = self._verdicts.get(identity)
        return {
            "place": self._place(identity, runs, result),
            **label.model_dump(),
            "name": label.name[:MAX_NAME],
            "name_key": label.name[:MAX_NAME].casefold(),
            "changes": [change.model_dump(mode="json") for change in changes[:MAX_CHANGES]],
            "num_changes": len(changes),
            "search_text": search_text(label, changes),
            "verdict": Verdict(verdict) if verdict else None,
            "num_results": len(runs),
            "num_verified": sum(is_verified(run) for run in runs),
            "verified": all(is_verified(run) for run in counting),
            "first_trusted_at": _first_end(runs, Verification.TRUSTED),
            "newest_at": newest_end(runs),
            **_measured(result),
        }

    def _place(
        self, identity: str, runs: Sequence[MeasuredRow], result: PooledResult | None
    ) -> Place:
        if result is None or all(run.purpose is RunPurpose.ABLATION for run in runs):
            return Place.UNLISTED
        if identity == self._baseline_hash:
            return Place.BASELINE
        return Place.WITHDRAWN if identity in self._withdrawn else Place.RANKED


def _measured(result: PooledResult | None) -> dict[str, Any]:
    """The pooled figures, and those of them that a board is sorted by."""
    if result is None:
        return {**dict.fromkeys((*FIGURES, *TASKS)), "result": None, "num_seeds": 0}
    scores = {task.name: task.acc_norm for task in result.tasks}
    return {
        **{name: getattr(result, name) for name in FIGURES},
        **{name: scores.get(name) for name in TASKS},
        "result": result.model_dump(mode="json"),
        "num_seeds": result.num_seeds,
    }


def search_text(label: Label, changes: Sequence[Change]) -> str:
    """What a search looks through: the label, and a line for each changed setting."""
    lines = [f"{label.name} {label.author}"]
    lines += [setting_line(change.path, json.dumps(change.after)) for change in changes]
    return "\n" + "\n".join(lines).lower() + "\n"


def setting_line(path: str, value: str) -> str:
    """How a changed setting stands in the text, with its value as JSON."""
    return f"{path}={value}"


def is_verified(run: MeasuredRow) -> bool:
    """Whether a trusted worker measured it, or the same."""
    return run.verification is not Verification.UNVERIFIED


def _first_end(runs: Sequence[MeasuredRow], verification: Verification) -> datetime | None:
    ends = [run.finished_at for run in runs if run.verification is verification]
    return min(filter(None, ends), default=None)


def newest_end(runs: Sequence[MeasuredRow]) -> datetime | None:
    """When the last of some runs ended."""
    return max((run.finished_at for run in runs if run.finished_at), default=None)
