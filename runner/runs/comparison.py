"""Two runs or submissions side by side."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from core.schema.overrides import Change, differences
from core.schema.result import RunResult
from runner.api.answers import Judgement
from runner.errors import NotFound
from runner.runs.run_folder import RunFolder


class Side(BaseModel):
    """One of the two."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    """What it is called."""


class Figure(BaseModel):
    """One figure of both sides."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    label: str
    """Name of the figure."""
    quantity: str
    """Kind of number, such as `nats` or `seconds`; decides how it is written."""
    a: float | None
    """Value of the first; None if it has none."""
    b: float | None
    """Value of the second; None if it has none."""
    delta: float | None
    """Second less first; None where a difference would mean nothing."""


class Comparison(BaseModel):
    """The part of the server's answer that is shown; also made from two run folders."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    a: Side
    """The first."""
    b: Side
    """The second."""
    notice: str
    """Why there are no differences; empty if there are."""
    changes: tuple[Change, ...]
    """Settings that differ; `before` is the first's value, `after` the second's."""
    figures: tuple[Figure, ...]
    """The figures of both."""
    judgement: Judgement | None = None
    """Whether the second is better or worse; None where their losses are not compared."""


def compare_folders(a: Path, b: Path) -> Comparison:
    """Compare two finished local runs; a checkpoint stands for the run that it is of.

    Raises:
        NotFound: one is not a run folder, or its run has no result.
    """
    folder_a, folder_b = run_folder_of(a), run_folder_of(b)
    result_a, result_b = _result(folder_a), _result(folder_b)
    spec_a, spec_b = folder_a.spec(), folder_b.spec()
    same = result_a.provenance.data.comparability_key(
        spec_a.track, spec_a.track_version
    ) == result_b.provenance.data.comparability_key(spec_b.track, spec_b.track_version)
    notice = "Measured on different data or by different rules, so there are no differences."
    return Comparison(
        a=Side(name=str(a)),
        b=Side(name=str(b)),
        notice="" if same else notice,
        changes=differences(spec_a.experiment, spec_b.experiment),
        figures=tuple(compared_figures(result_a, result_b, same)),
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


def compared_figures(a: RunResult, b: RunResult, comparable: bool) -> Iterator[Figure]:
    """What two runs measured, with differences where they are comparable and mean something."""
    for label, quantity, attribute, has_delta in FIGURES:
        left, right = float(getattr(a, attribute)), float(getattr(b, attribute))
        yield _figure(label, quantity, left, right, comparable and has_delta)
    times_a, times_b = a.timing, b.timing
    yield _figure(
        "Training time", "seconds", times_a.train_seconds, times_b.train_seconds, has_delta=False
    )
    tasks_b = {task.name: task for task in b.tasks}
    for task in a.tasks:
        if other := tasks_b.get(task.name):
            label = f"{task.name} acc_norm"
            yield _figure(label, "share", task.acc_norm, other.acc_norm, comparable)


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


def _figure(label: str, quantity: str, a: float, b: float, has_delta: bool) -> Figure:
    return Figure(label=label, quantity=quantity, a=a, b=b, delta=b - a if has_delta else None)
