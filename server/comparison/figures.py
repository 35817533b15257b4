"""The figures of submissions beside each other, with the differences that mean something."""

from collections.abc import Iterator, Sequence

from core.schema.base import Message
from server.comparison.sides import ComparedSide
from server.formatting import Quantity, task_title
from server.pooling import PooledResult, PooledTask

_Figures = tuple[tuple[str, Quantity, str], ...]
"""Label, kind, and attribute of `PooledResult`."""

_QUALITY: _Figures = (
    ("Validation loss", Quantity.NATS, "val_loss"),
    ("Accuracy", Quantity.SHARE, "val_accuracy"),
    ("Perplexity", Quantity.PERPLEXITY, "val_perplexity"),
    ("Bits per byte", Quantity.BITS, "val_bpb"),
)
_SIZE: _Figures = (
    ("Parameters", Quantity.COUNT, "num_parameters"),
    ("Training tokens", Quantity.COUNT, "tokens"),
    ("Steps", Quantity.COUNT, "steps"),
    ("Peak memory", Quantity.BYTES, "peak_memory_bytes"),
)
_SPEED: _Figures = (("Speed, baseline on the same worker = 1", Quantity.RATIO, "relative_speed"),)
_TIME: _Figures = (
    ("Tokens per second", Quantity.COUNT, "tokens_per_second"),
    ("Compile time", Quantity.SECONDS, "compile_seconds"),
    ("Training time", Quantity.SECONDS, "train_seconds"),
    ("Evaluation time", Quantity.SECONDS, "eval_seconds"),
    ("Cost of a run", Quantity.DOLLARS, "cost_usd"),
)


class ComparedFigure(Message):
    """One figure of all sides; the tuples are in the sides' order."""

    label: str
    """Name of the figure, with its unit where it has one."""
    quantity: Quantity
    """Kind of number."""
    values: tuple[float | None, ...]
    """Value of each side; None if it has none."""
    deltas: tuple[float | None, ...]
    """Each less the first; None of the first itself, and where a difference would mean nothing."""


def compared_figures(sides: Sequence[ComparedSide]) -> Iterator[ComparedFigure]:
    """The figures of all sides: quality, tasks, size, speed, and times.

    Times get no difference: they say something about a config only against a run on the same
    worker in the same session, which two submissions are not. Their ratios to that run do.
    """
    yield from _plain_figures(_QUALITY, sides)
    yield from _task_figures(sides)
    yield from _plain_figures(_SIZE, sides)
    yield from _plain_figures(_SPEED, sides)
    yield from _plain_figures(_TIME, sides, has_deltas=False)


def _plain_figures(
    figures: _Figures, sides: Sequence[ComparedSide], has_deltas: bool = True
) -> Iterator[ComparedFigure]:
    for label, quantity, attribute in figures:
        values = [_value(side.result, attribute) for side in sides]
        yield _figure(label, quantity, values, sides, has_deltas)


def _task_figures(sides: Sequence[ComparedSide]) -> Iterator[ComparedFigure]:
    names = (task.name for side in sides if side.result for task in side.result.tasks)
    for name in dict.fromkeys(names):
        scores = [side.result and side.result.task(name) for side in sides]
        for kind in ("acc", "acc_norm"):
            values = [_value(score, kind) for score in scores]
            yield _figure(f"{task_title(name)} {kind}", Quantity.SHARE, values, sides)


def _value(measured: PooledResult | PooledTask | None, attribute: str) -> float | None:
    return None if measured is None else getattr(measured, attribute)


def _figure(
    label: str,
    quantity: Quantity,
    values: Sequence[float | None],
    sides: Sequence[ComparedSide],
    has_deltas: bool = True,
) -> ComparedFigure:
    first = values[0] if has_deltas and sides[0].is_compared else None
    others = (
        value - first if side.is_compared and value is not None and first is not None else None
        for value, side in zip(values[1:], sides[1:], strict=True)
    )
    return ComparedFigure(
        label=label, quantity=quantity, values=tuple(values), deltas=(None, *others)
    )
