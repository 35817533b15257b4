"""Runs or submissions side by side."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from core.schema.compared_settings import ComparedSetting, compared_settings
from core.schema.result import RunResult
from runner.api.answers import Judgement, Shown
from runner.errors import NotFound
from runner.runs.run_folder import RunFolder


class Side(Shown):
    """One of them."""

    name: str
    """What it is called."""
    judgement: Judgement | None = None
    """Whether it is better or worse than the first; None where their losses are not compared."""


class Figure(Shown):
    """One figure of all sides, in their order."""

    label: str
    """Name of the figure."""
    quantity: str
    """Kind of number, such as `nats` or `seconds`; decides how it is written."""
    values: tuple[float | None, ...]
    """Value of each; None if it has none."""
    deltas: tuple[float | None, ...]
    """Each less the first; None of the first, and where a difference would mean nothing."""


class TaskAgreement(Shown):
    """The questions of a task, by which of the first two got them right."""

    task: str
    """Task."""
    both: int
    """Right in both."""
    only_a: int
    """Right in the first alone."""
    only_b: int
    """Right in the second alone."""
    neither: int
    """Right in neither."""
    p_value: float
    """McNemar's exact test."""
    notice: str
    """Why nothing was counted; empty if it was."""


class Comparison(Shown):
    """The part of the server's answer that is shown; also made from run folders."""

    sides: tuple[Side, ...]
    """In the order asked for."""
    notice: str
    """Why some have no differences; empty if all have."""
    settings: tuple[ComparedSetting, ...]
    """Settings that differ."""
    figures: tuple[Figure, ...]
    """The figures of all."""
    agreement: tuple[TaskAgreement, ...] = ()
    """Question by question, of the first two; none of run folders."""


def compare_folders(paths: Sequence[Path]) -> Comparison:
    """Compare finished local runs; a checkpoint stands for the run that it is of.

    Raises:
        NotFound: one is not a run folder, or its run has no result.
    """
    folders = [run_folder_of(path) for path in paths]
    results = [_result(folder) for folder in folders]
    specs = [folder.spec() for folder in folders]
    keys = [
        result.provenance.data.comparability_key(spec.track, spec.track_version)
        for result, spec in zip(results, specs, strict=True)
    ]
    same = [key == keys[0] for key in keys]
    notice = "Measured on different data or by different rules, so there are no differences: "
    apart = [str(path) for path, is_same in zip(paths, same, strict=True) if not is_same]
    return Comparison(
        sides=tuple(Side(name=str(path)) for path in paths),
        notice="" if all(same) else f"{notice}{', '.join(apart)}.",
        settings=compared_settings([spec.experiment for spec in specs]),
        figures=tuple(compared_figures(results, same)),
    )


def run_folder_of(path: Path) -> RunFolder:
    """The run folder at a path, or the one that a checkpoint lies in."""
    is_checkpoint = path.name.startswith("checkpoint-") and (path / "manifest.json").exists()
    return RunFolder(path.resolve().parent if is_checkpoint else path)


def _result(folder: RunFolder) -> RunResult:
    result = folder.result()
    if result is None:
        raise NotFound(
            f"{folder.path} has no result.json: name the folder of a finished run, "
            "such as `runner train` writes, or the id of a submission."
        )
    return result


def compared_figures(results: Sequence[RunResult], comparable: Sequence[bool]) -> Iterator[Figure]:
    """What runs measured, with differences where they mean something.

    Args:
        comparable: whether each has the data and the rules of the first.
    """
    never = [False] * len(results)
    for label, quantity, attribute, has_delta in FIGURES:
        values = [float(getattr(result, attribute)) for result in results]
        yield _figure(label, quantity, values, comparable if has_delta else never)
    times = [result.timing.train_seconds for result in results]
    yield _figure("Training time", "seconds", times, never)
    for task in results[0].tasks:
        found = [
            next((one.acc_norm for one in result.tasks if one.name == task.name), None)
            for result in results
        ]
        yield _figure(f"{task.name} acc_norm", "share", found, comparable)


FIGURES = (
    ("Validation loss", "nats", "val_loss", True),
    ("Accuracy", "share", "val_accuracy", True),
    ("Perplexity", "perplexity", "val_perplexity", True),
    ("Bits per byte", "bits", "val_bpb", True),
    ("Parameters", "count", "num_parameters", True),
    ("Training tokens", "count", "tokens", True),
    ("Steps", "count", "steps", True),
    ("Peak memory", "bytes", "peak_memory_bytes", True),
    ("Tokens per second", "count", "tokens_per_second", False),
)
"""Label, kind, attribute of `RunResult`, and whether a difference means something."""


def _figure(
    label: str, quantity: str, values: Sequence[float | None], comparable: Sequence[bool]
) -> Figure:
    first = values[0]
    others = (
        value - first if is_comparable and value is not None and first is not None else None
        for value, is_comparable in zip(values[1:], comparable[1:], strict=True)
    )
    return Figure(label=label, quantity=quantity, values=tuple(values), deltas=(None, *others))
