"""The rows of the speed table: which measurements each needs, and what it says of them."""

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple, TypeVar

from benchmarks.measurement import Figures, MachineFigures, RateFigures, RunFigures
from core.schema.track import GIB

Measured = Mapping[str, Figures]
"""Figures by the name of the measurement."""
Kind = TypeVar("Kind", MachineFigures, RunFigures, RateFigures)

REFERENCE_LOSS = 4.61
"""Validation loss of the original project's trainer with its baseline on the local text."""


class Cells(NamedTuple):
    """What a row says, ready to print."""

    ours: str
    other: str = ""
    """What ours is held against."""
    ratio: str = ""
    """Ours to the other, or their difference."""
    note: str = ""


class Row(NamedTuple):
    """A row of the table."""

    title: str
    needs: Callable[[int], tuple[str, ...]]
    """Names of the measurements, for a number of seeds."""
    cells: Callable[[Measured], Cells]


def fast_name(index: int) -> str:
    """Measurement of the full run with a track's seed of that index; the first is the cold one."""
    return "first run" if index == 0 else f"fast run {index + 1}"


def race_name(index: int) -> str:
    """Measurement of the shortest run to the reference's loss with that seed."""
    return f"race {index + 1}"


def loss_name(index: int) -> str:
    """Measurement of the reference path's full run with that seed."""
    return f"reference run {index + 1}"


def _machine(measured: Measured) -> Cells:
    machine = _of(MachineFigures, measured, "machine")
    return Cells(
        f"{machine.flops_per_second / 1e12:,.1f} TFLOP/s",
        note=f"{machine.device}, PyTorch {machine.torch}; median of products of random matrices",
    )


def _speed(measured: Measured) -> Cells:
    machine = _of(MachineFigures, measured, "machine")
    run = _of(RunFigures, measured, fast_name(0))
    achieved = run.flops_per_token * run.tokens_per_second
    return Cells(
        _rate(run.tokens_per_second),
        f"{machine.flops_per_second / 1e12:,.1f} TFLOP/s",
        f"{achieved / machine.flops_per_second:.1%} model FLOPs utilisation",
        f"{run.steps} steps; {run.flops_per_token:.4g} FLOPs/token × "
        f"{run.tokens_per_second:,.0f} tokens/s ÷ {machine.flops_per_second:.4g} FLOP/s",
    )


def _reference(measured: Measured) -> Cells:
    run = _of(RunFigures, measured, fast_name(0))
    plain = _of(RunFigures, measured, "reference speed")
    return Cells(
        _rate(run.tokens_per_second),
        _rate(plain.tokens_per_second),
        _times(run.tokens_per_second, plain.tokens_per_second),
        f"eager PyTorch operations; {plain.steps} steps",
    )


def _triton(measured: Measured) -> Cells:
    run = _of(RunFigures, measured, fast_name(0))
    triton = _of(RunFigures, measured, "triton")
    return Cells(
        _rate(triton.tokens_per_second),
        _rate(run.tokens_per_second),
        f"{triton.tokens_per_second / run.tokens_per_second:.1%} of the speed kept",
        f"grouped product of GPUs without one in the library; {triton.steps} steps",
    )


def _memory(measured: Measured) -> Cells:
    run = _of(RunFigures, measured, fast_name(0))
    plain = _of(RunFigures, measured, "reference speed")
    return Cells(
        f"{run.peak_memory_bytes / GIB:.2f} GiB",
        f"{plain.peak_memory_bytes / GIB:.2f} GiB",
        f"{run.peak_memory_bytes / plain.peak_memory_bytes:.2f} ×",
        "largest memory allocated, against the reference path's",
    )


def _compile(measured: Measured) -> Cells:
    cold = _of(RunFigures, measured, fast_name(0)).compile_seconds
    warm = _of(RunFigures, measured, "second run").compile_seconds
    return Cells(
        f"{cold:.1f} s",
        f"{warm:.1f} s",
        _times(cold, warm),
        "compilation and warm-up with empty caches, against those of the run before",
    )


def _tasks(measured: Measured) -> Cells:
    validation = _of(RunFigures, measured, fast_name(0)).eval_seconds
    run = _of(RunFigures, measured, "second run")
    return Cells(
        f"{run.eval_seconds - validation:.1f} s",
        note=f"{run.num_questions:,} questions; evaluation of a run with them less one without",
    )


def _validation(measured: Measured) -> Cells:
    run = _of(RunFigures, measured, fast_name(0))
    return Cells(
        f"{run.eval_seconds:.2f} s",
        note=f"one validation of {run.validation_tokens:,} predicted tokens",
    )


def _loss(measured: Measured) -> Cells:
    ours, plain = _losses(measured, fast_name), _losses(measured, loss_name)
    return Cells(
        f"{fmean(ours):.4f}",
        f"{fmean(plain):.4f}",
        f"{fmean(ours) - fmean(plain):+.4f}",
        f"mean validation loss; {_list(ours)} against {_list(plain)}",
    )


def _race(measured: Measured) -> Cells:
    names = [race_name(index) for index in range(len(measured))]
    runs = [_of(RunFigures, measured, name) for name in names if name in measured]
    seconds = fmean(run.train_seconds for run in runs)
    return Cells(
        f"{fmean(run.val_loss for run in runs):.4f}",
        f"{REFERENCE_LOSS}",
        f"{seconds:.2f} s of training",
        "; ".join(f"{run.val_loss:.4f} in {run.train_seconds:.2f} s" for run in runs),
    )


def _losses(measured: Measured, name: Callable[[int], str]) -> list[float]:
    names = [name(index) for index in range(len(measured))]
    return [_of(RunFigures, measured, own).val_loss for own in names if own in measured]


def _rates(name: str, note: str) -> Callable[[Measured], Cells]:
    def cells(measured: Measured) -> Cells:
        rate = _of(RateFigures, measured, name)
        return Cells(
            _rate(rate.tokens_per_second),
            _rate(rate.reference_tokens_per_second),
            _times(rate.tokens_per_second, rate.reference_tokens_per_second),
            note,
        )

    return cells


def _of(kind: type[Kind], measured: Measured, name: str) -> Kind:
    figures = measured[name]
    assert isinstance(figures, kind), f"{name} is no {kind.__name__}"
    return figures


def _rate(tokens_per_second: float) -> str:
    return f"{tokens_per_second:,.0f} tokens/s"


def _times(ours: float, other: float) -> str:
    return f"{ours / other:.2f} ×"


def _list(losses: Sequence[float]) -> str:
    return ", ".join(f"{loss:.4f}" for loss in losses)


def _always(*names: str) -> Callable[[int], tuple[str, ...]]:
    return lambda _: names


def _all_races(num_seeds: int) -> tuple[str, ...]:
    return tuple(race_name(index) for index in range(num_seeds))


def _all_runs(num_seeds: int) -> tuple[str, ...]:
    return tuple(name(index) for name in (fast_name, loss_name) for index in range(num_seeds))


ROWS: Mapping[str, Row] = {
    "matmul": Row("largest matrix rate", _always("machine"), _machine),
    "speed": Row("training, steps only", _always("machine", fast_name(0)), _speed),
    "reference": Row(
        "against the eager reference path", _always(fast_name(0), "reference speed"), _reference
    ),
    "triton": Row("Triton grouped product forced", _always(fast_name(0), "triton"), _triton),
    "memory": Row("peak memory", _always(fast_name(0), "reference speed"), _memory),
    "compile": Row(
        "compile and warm-up, cold against warm", _always(fast_name(0), "second run"), _compile
    ),
    "tasks": Row("all questions of all tasks", _always(fast_name(0), "second run"), _tasks),
    "validation": Row("one validation", _always(fast_name(0)), _validation),
    "race": Row("shortest run to the reference's loss", _all_races, _race),
    "data": Row(
        "data preparation against the tokenizer library",
        _always("data"),
        _rates("data", "documents to token files, against `encode_batch` of the same documents"),
    ),
    "debug": Row(
        "`debug` on two processor cores",
        _always("processor"),
        _rates(
            "processor",
            "against a loop over experts by masks, Muon matrix by matrix and AdamW unfused",
        ),
    ),
    "loss": Row("loss against the reference path", _all_runs, _loss),
}
"""In the order in which they can be printed; the reference path's full runs take longest."""
