"""Several runs of one experiment as one set of figures."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field

from core.schema.base import Message
from core.schema.result import RunResult, TaskScore
from server.tables import Run


@dataclass(frozen=True)
class MeasuredRun:
    """A run that has a result."""

    result: RunResult
    cost_usd: float | None

    @classmethod
    def of(cls, run: Run) -> "MeasuredRun":
        """Read the result that a row of the database holds."""
        return cls(RunResult.model_validate(run.result), run.cost_usd)


class PooledTask(Message):
    """Mean scores of a multiple-choice task.

    The standard errors are those of one run: every seed answers the same questions, so more
    seeds do not make them smaller.
    """

    name: str
    """Task."""
    num_questions: int
    """Questions scored in each run."""
    acc: float
    """Mean share right by summed log-likelihood."""
    acc_stderr: float
    """Binomial standard error of one run's `acc`, at its mean over the runs."""
    acc_norm: float
    """Mean share right by log-likelihood per byte."""
    acc_norm_stderr: float
    """Binomial standard error of one run's `acc_norm`, at its mean over the runs."""


class PooledResult(Message):
    """Figures of all runs of one experiment under one comparability key; means if not named."""

    num_runs: int = Field(ge=1)
    """Runs."""
    num_seeds: int = Field(ge=1)
    """Distinct seeds that they had."""
    val_loss: float
    """Mean validation loss, in nats."""
    val_loss_deviation: float | None
    """Sample standard deviation of the validation loss; None with one run."""
    val_accuracy: float
    """Top-1 next-token accuracy."""
    val_perplexity: float
    """exp of the mean validation loss."""
    val_bpb: float
    """Bits per byte."""
    tasks: tuple[PooledTask, ...]
    """Multiple-choice scores."""
    tokens_per_second: float
    """Training tokens over training time."""
    relative_speed: float | None
    """Speed as a multiple of the baseline's on the same worker in the same session; None if any
    run has no anchor."""
    compile_seconds: float
    """Warm-up."""
    train_seconds: float
    """Optimizer steps."""
    eval_seconds: float
    """Validation and tasks."""
    peak_memory_bytes: int
    """Largest over the runs."""
    cost_usd: float | None
    """Cost of one run; None if the device of any run has no price."""
    num_parameters: int
    """Trained parameters."""
    tokens: float
    """Training tokens read."""
    steps: float
    """Optimizer steps done."""
    devices: tuple[str, ...]
    """Devices that the runs had, each once."""

    def task(self, name: str) -> PooledTask | None:
        """The scores of a task, if it was scored."""
        return next((task for task in self.tasks if task.name == name), None)


def pool(runs: Sequence[MeasuredRun]) -> PooledResult:
    """Pool the runs of one experiment; there must be at least one."""
    results = [run.result for run in runs]
    losses = [result.val_loss for result in results]
    mean_loss = statistics.fmean(losses)
    costs = [run.cost_usd for run in runs if run.cost_usd is not None]
    ratios = [ratio for result in results if (ratio := result.relative_speed) is not None]
    mean = statistics.fmean
    return PooledResult(
        num_runs=len(runs),
        num_seeds=len({result.seed for result in results}),
        val_loss=mean_loss,
        val_loss_deviation=statistics.stdev(losses) if len(losses) > 1 else None,
        val_accuracy=mean(result.val_accuracy for result in results),
        val_perplexity=math.exp(mean_loss),
        val_bpb=mean(result.val_bpb for result in results),
        tasks=_pool_tasks(results),
        tokens_per_second=mean(result.tokens_per_second for result in results),
        relative_speed=mean(ratios) if len(ratios) == len(results) else None,
        compile_seconds=mean(result.timing.compile_seconds for result in results),
        train_seconds=mean(result.timing.train_seconds for result in results),
        eval_seconds=mean(result.timing.eval_seconds for result in results),
        peak_memory_bytes=max(result.peak_memory_bytes for result in results),
        cost_usd=mean(costs) if len(costs) == len(runs) else None,
        num_parameters=results[0].num_parameters,
        tokens=mean(result.tokens for result in results),
        steps=mean(result.steps for result in results),
        devices=tuple(dict.fromkeys(result.provenance.devices for result in results)),
    )


def _pool_tasks(results: Sequence[RunResult]) -> tuple[PooledTask, ...]:
    scores: dict[str, list[TaskScore]] = {}
    for result in results:
        for score in result.tasks:
            scores.setdefault(score.name, []).append(score)
    return tuple(_pool_task(name, same) for name, same in scores.items())


def _pool_task(name: str, scores: Sequence[TaskScore]) -> PooledTask:
    acc = statistics.fmean(score.acc for score in scores)
    acc_norm = statistics.fmean(score.acc_norm for score in scores)
    mean = scores[0].model_copy(update={"acc": acc, "acc_norm": acc_norm})
    return PooledTask(
        name=name,
        num_questions=mean.num_questions,
        acc=acc,
        acc_stderr=mean.acc_stderr,
        acc_norm=acc_norm,
        acc_norm_stderr=mean.acc_norm_stderr,
    )
