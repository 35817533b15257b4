"""The columns of a board as a file: flat, with the unit in the name."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from server.pooling import PooledTask
from server.syndication.board_rows import ListedRow
from server.verdict.view import ExperimentVerdict

Cell = str | int | float | bool | datetime | None
"""None is a missing value."""


class Kind(StrEnum):
    """What the cells of a column are."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    MOMENT = "moment"
    """In UTC."""


@dataclass(frozen=True)
class Column:
    """A column, and how a row's cell is read."""

    name: str
    kind: Kind
    description: str
    read: Callable[[ListedRow], Cell]


def _of_verdict(read: Callable[[ExperimentVerdict], Cell]) -> Callable[[ListedRow], Cell]:
    """Reads a verdict's part; None where there is no verdict."""
    return lambda one: read(one.row.verdict) if one.row.verdict is not None else None


TEXT, INTEGER, NUMBER = Kind.TEXT, Kind.INTEGER, Kind.NUMBER
BOOLEAN, MOMENT = Kind.BOOLEAN, Kind.MOMENT
IDENTITY = (
    Column(
        "rank",
        INTEGER,
        "From 1; empty for the baseline and what was withdrawn",
        lambda one: one.row.rank,
    ),
    Column(
        "is_tied", BOOLEAN, "Cannot be told apart from the row above", lambda one: one.row.is_tied
    ),
    Column("is_baseline", BOOLEAN, "The track's base config", lambda one: one.row.is_baseline),
    Column(
        "submission_id",
        TEXT,
        "First submission; empty if nobody submitted it",
        lambda one: one.row.submission_id,
    ),
    Column("name", TEXT, "Its name", lambda one: one.row.name),
    Column("author", TEXT, "Its author", lambda one: one.row.author),
    Column("created_at", MOMENT, "When it was accepted", lambda one: one.created_at),
    Column("experiment_hash", TEXT, "Identity of the config", lambda one: one.row.experiment_hash),
    Column("comparability_key", TEXT, "What the row is ranked under", lambda one: one.key),
    Column(
        "num_changes",
        INTEGER,
        "Settings that differ from the baseline",
        lambda one: one.row.num_changes,
    ),
    Column(
        "withdrawn_reason",
        TEXT,
        "Why it does not count, if its authors took it back",
        lambda one: one.row.withdrawn.reason if one.row.withdrawn is not None else None,
    ),
)
VERDICT = (
    Column(
        "verdict",
        TEXT,
        "`better`, `worse` or `unresolved`; empty without one",
        _of_verdict(lambda verdict: verdict.verdict.value),
    ),
    Column(
        "is_record",
        BOOLEAN,
        "Holds the board's record",
        _of_verdict(lambda verdict: verdict.is_record),
    ),
    Column(
        "verdict_delta_nats",
        NUMBER,
        "Mean loss of the runs judged, less the baseline's",
        _of_verdict(lambda verdict: verdict.delta),
    ),
    Column(
        "verdict_low_nats",
        NUMBER,
        "Lower end of its 99 % interval",
        _of_verdict(lambda verdict: verdict.low),
    ),
    Column(
        "verdict_high_nats",
        NUMBER,
        "Upper end of its 99 % interval",
        _of_verdict(lambda verdict: verdict.high),
    ),
    Column("verdict_runs", INTEGER, "Runs judged", _of_verdict(lambda verdict: verdict.num_runs)),
    Column(
        "verdict_baseline_runs",
        INTEGER,
        "Runs of the baseline that they were judged against",
        _of_verdict(lambda verdict: verdict.num_baseline_runs),
    ),
    Column(
        "further_runs",
        INTEGER,
        "Runs that would settle it; 0 if settled, empty if 80 would not",
        _of_verdict(lambda verdict: verdict.further_runs),
    ),
    Column(
        "refuted",
        TEXT,
        "Why `better` no longer stands",
        _of_verdict(lambda verdict: verdict.refuted or None),
    ),
)
FIGURES = (
    Column("num_runs", INTEGER, "Runs with a result", lambda one: one.row.result.num_runs),
    Column("num_seeds", INTEGER, "Distinct seeds", lambda one: one.row.result.num_seeds),
    Column(
        "val_loss_nats", NUMBER, "Mean validation loss; ranks", lambda one: one.row.result.val_loss
    ),
    Column(
        "val_loss_deviation_nats",
        NUMBER,
        "Between runs; empty with one",
        lambda one: one.row.result.val_loss_deviation,
    ),
    Column(
        "delta_nats",
        NUMBER,
        "Mean validation loss of all runs, less the baseline's",
        lambda one: one.row.delta,
    ),
    Column(
        "val_accuracy",
        NUMBER,
        "Top-1 next-token accuracy, 0 to 1",
        lambda one: one.row.result.val_accuracy,
    ),
    Column(
        "val_perplexity", NUMBER, "exp of the mean loss", lambda one: one.row.result.val_perplexity
    ),
    Column(
        "val_bits_per_byte",
        NUMBER,
        "Survives a change of tokenizer",
        lambda one: one.row.result.val_bpb,
    ),
    Column(
        "tokens_per_second",
        NUMBER,
        "Training speed; depends on the worker",
        lambda one: one.row.result.tokens_per_second,
    ),
    Column(
        "relative_speed",
        NUMBER,
        "Multiple of the baseline's on the same worker and session",
        lambda one: one.row.result.relative_speed,
    ),
    Column("compile_seconds", NUMBER, "Warm-up", lambda one: one.row.result.compile_seconds),
    Column("train_seconds", NUMBER, "Optimizer steps", lambda one: one.row.result.train_seconds),
    Column("eval_seconds", NUMBER, "Validation and tasks", lambda one: one.row.result.eval_seconds),
    Column(
        "cost_usd",
        NUMBER,
        "One run at the track's prices; empty if unpriced",
        lambda one: one.row.result.cost_usd,
    ),
    Column(
        "peak_memory_bytes",
        INTEGER,
        "Largest over the runs",
        lambda one: one.row.result.peak_memory_bytes,
    ),
    Column(
        "num_parameters", INTEGER, "Trained parameters", lambda one: one.row.result.num_parameters
    ),
    Column(
        "train_tokens",
        NUMBER,
        "Training tokens, mean over the runs",
        lambda one: one.row.result.tokens,
    ),
    Column(
        "train_steps",
        NUMBER,
        "Optimizer steps, mean over the runs",
        lambda one: one.row.result.steps,
    ),
    Column(
        "devices",
        TEXT,
        "Devices of the runs, with `; ` between",
        lambda one: "; ".join(one.row.result.devices),
    ),
)
COLUMNS = (*IDENTITY, *VERDICT, *FIGURES)


def board_columns(tasks: Sequence[str]) -> tuple[Column, ...]:
    """The columns of a track's board: those of every board, then four for each of its tasks."""
    return (*COLUMNS, *(column for task in tasks for column in _task_columns(task)))


def _task_columns(task: str) -> Iterator[Column]:
    parts: dict[str, tuple[str, Callable[[PooledTask], Cell]]] = {
        "acc": ("Share right by summed log-likelihood", lambda score: score.acc),
        "acc_stderr": ("Its standard error, of one run", lambda score: score.acc_stderr),
        "acc_norm": ("Share right by log-likelihood per byte", lambda score: score.acc_norm),
        "acc_norm_stderr": ("Its standard error, of one run", lambda score: score.acc_norm_stderr),
    }
    for part, (description, read) in parts.items():
        yield Column(f"{task}_{part}", Kind.NUMBER, description, _of_task(task, read))


def _of_task(task: str, read: Callable[[PooledTask], Cell]) -> Callable[[ListedRow], Cell]:
    def read_score(one: ListedRow) -> Cell:
        score = one.row.result.task(task)
        return None if score is None else read(score)

    return read_score
