"""What commands print: results and estimates as tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pydantic import JsonValue
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from core.errors import InvalidInput
from core.estimate.cost import Estimate
from core.proposal import Proposal
from core.schema.job import JobState, RunStatus, SubmissionReceipt
from core.schema.overrides import Change
from core.schema.result import RunResult, TaskScore, Verification
from runner.errors import RunFailed
from runner.terminal.figures import (
    write_bytes,
    write_dollars,
    write_duration,
    write_quantity,
    write_setting,
)
from runner.terminal.forecast import forecast_rows
from runner.terminal.quota import quota_rows

if TYPE_CHECKING:
    # The class comes with torch, which printing does not need.
    from core.train.evaluation import Evaluation

Rows = Iterable[tuple[str, str]]


def print_pairs(console: Console, rows: Rows) -> None:
    """Names on the left, values on the right."""
    table = Table.grid(padding=(0, 2))
    for name, value in rows:
        table.add_row(name, escape(value))
    console.print(table)


def valid_json(proposal: Proposal, nearest: JsonValue) -> str:
    """What `check` found out about a valid submission.

    Args:
        nearest: what the server says was measured near it; None if it did not say.
    """
    answer = {
        "valid": True,
        "experiment_hash": proposal.experiment_hash,
        "changes": [change.model_dump(mode="json") for change in proposal.changes],
        "estimate": proposal.estimate.model_dump(mode="json"),
        "nearest": nearest,
    }
    return json.dumps(answer, indent=2)


def refusal_json(error: InvalidInput) -> str:
    """What is wrong with a submission."""
    problems = [problem.model_dump(mode="json") for problem in error.problems]
    return json.dumps({"valid": False, "problems": problems}, indent=2)


def receipt_rows(receipt: SubmissionReceipt, estimate: Estimate) -> Rows:
    """What was queued."""
    yield "submission", receipt.submission_id
    yield "run", f"{receipt.run_id}, seed {receipt.seed}"
    if receipt.duplicate_of:
        yield "adds a seed to", receipt.duplicate_of
    yield "jobs ahead", str(receipt.jobs_ahead)
    if receipt.quota is not None and receipt.quota.allowed_minutes is not None:
        yield from quota_rows(receipt.quota)
    yield from forecast_rows(receipt.forecast)
    yield "page", receipt.url
    yield from estimate_rows(estimate)


def require_success(status: RunStatus) -> None:
    """Fail unless the run succeeded.

    Raises:
        RunFailed: it failed or was cancelled.
    """
    if status.state is not JobState.SUCCEEDED:
        raise RunFailed(f"run {status.run_id} has {status.state.value}.")


def estimate_rows(estimate: Estimate) -> Rows:
    """What a config would cost."""
    yield "parameters", f"{estimate.num_parameters:,} ({estimate.num_active_parameters:,} active)"
    yield "training FLOPs", f"{estimate.training_flops:.3g}"
    parts = sorted(estimate.memory_parts.items(), key=lambda part: part[1], reverse=True)
    largest = ", ".join(f"{name.replace('_', ' ')} {write_bytes(size)}" for name, size in parts[:3])
    yield "memory, roughly", f"{write_bytes(estimate.memory_bytes)}: {largest}, …"
    for gpu, dollars in estimate.cost_usd.items():
        basis = "" if gpu in estimate.measured_gpus else ", unmeasured"
        cost = f"{_write_course(estimate, gpu)}, {write_dollars(dollars)}{basis}"
        yield f"training on {gpu}", cost
    if set(estimate.cost_usd) - set(estimate.measured_gpus):
        yield "unmeasured", "scaled from measured GPUs by the vendors' rates"


def _write_course(estimate: Estimate, gpu: str) -> str:
    """Training time with its range, or what a budget in dollars buys, with its range."""
    time = write_duration(estimate.train_seconds[gpu])
    fewest, most = estimate.train_tokens_range[gpu]
    if fewest < most:
        tokens = f"{estimate.train_tokens[gpu] / 1e6:,.0f} million tokens"
        return f"{tokens} ({fewest / 1e6:,.0f} to {most / 1e6:,.0f}) in {time}"
    shortest, longest = map(write_duration, estimate.train_seconds_range[gpu])
    return f"{time} ({shortest} to {longest})"


def change_rows(changes: Sequence[Change]) -> Rows:
    """What differs from the baseline."""
    for change in changes:
        yield change.path, f"{write_setting(change.before)} → {write_setting(change.after)}"


def result_rows(result: RunResult, cost_usd: float | None) -> Rows:
    """What a run measured."""
    timing = result.timing
    yield "validation loss", f"{result.val_loss:.4f} nats per token"
    yield "accuracy", write_quantity("share", result.val_accuracy)
    yield "perplexity", f"{result.val_perplexity:.2f}"
    yield "bits per byte", f"{result.val_bpb:.4f}"
    yield from task_rows(result.tasks)
    yield "training", f"{write_duration(timing.train_seconds)}, {result.steps:,} steps"
    yield "speed", f"{result.tokens_per_second:,.0f} tokens/s on {result.provenance.devices}"
    yield "compilation", write_duration(timing.compile_seconds)
    yield "evaluation", write_duration(timing.eval_seconds)
    yield "peak memory", write_quantity("bytes", result.peak_memory_bytes)
    if cost_usd is not None:
        yield "cost", write_dollars(cost_usd)


def task_rows(tasks: Sequence[TaskScore]) -> Rows:
    """Scores of multiple-choice tasks, with their standard errors."""
    for task in tasks:
        acc = f"{task.acc * 100:.2f} ± {task.acc_stderr * 100:.2f} %"
        norm = f"{task.acc_norm * 100:.2f} ± {task.acc_norm_stderr * 100:.2f} %"
        yield task.name, f"acc {acc}, acc_norm {norm}, {task.num_questions:,} questions"


def evaluation_rows(evaluation: Evaluation) -> Rows:
    """What a checkpoint scores."""
    yield "step", f"{evaluation.step:,}"
    yield "validation loss", f"{evaluation.val_loss:.4f} nats per token"
    yield "accuracy", write_quantity("share", evaluation.val_accuracy)
    yield "perplexity", f"{evaluation.val_perplexity:.2f}"
    yield "bits per byte", f"{evaluation.val_bpb:.4f}"
    yield from task_rows(evaluation.tasks)
    yield "comparability key", evaluation.comparability_key


def status_rows(status: RunStatus) -> Rows:
    """Where a run stands."""
    yield "run", f"{status.run_id}, seed {status.seed}"
    # Of a baseline that nobody submitted, only the name is known.
    identity = f"{status.submission_id}: " if status.submission_id else ""
    yield "submission", f"{identity}{status.name}, track {status.track}"
    yield "state", status.state.value
    if status.jobs_ahead is not None:
        yield "jobs ahead", str(status.jobs_ahead)
    yield from forecast_rows(status.forecast)
    if status.phase is not None:
        share = f" {status.completed}/{status.total}" if status.total else ""
        yield "doing", f"{status.phase.value.replace('_', ' ')}{share}"
    if status.attempt > 1:
        yield "attempt", str(status.attempt)
    if status.latest is not None and status.result is None:
        yield "loss", f"{status.latest.train_loss:.4f} at step {status.latest.step}"
    if status.failure is not None:
        yield "failure", f"{status.failure}, {status.failure.fault}: {status.failure_message}"
        yield "what to do", status.failure.advice
        if not status.last_lines:
            yield "last lines", f"runner logs {status.run_id}"
    if status.result is not None:
        yield from result_rows(status.result, status.cost_usd)
    if status.verification is Verification.UNVERIFIED:
        yield "verification", "unverified: no trusted worker has measured the same yet"
    elif status.verification is Verification.REFUTED:
        yield "verification", "held: a trusted worker measured something else"
    yield "page", status.url


def print_last_lines(console: Console, status: RunStatus) -> None:
    """The end of a failed run's log, as it is; nothing of any other run."""
    if not status.last_lines:
        return
    num = len(status.last_lines)
    console.print(f"The last {f'{num} lines' if num > 1 else 'line'} of its log:")
    for line in status.last_lines:
        console.out(line, highlight=False)
