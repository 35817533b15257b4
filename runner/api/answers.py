"""The parts of the server's pages for readers that the command line shows.

These classes name only what is shown and ignore the rest, so that a server may add to its
answers. `--json` prints the whole answer.
"""

from pydantic import BaseModel, ConfigDict

from core.schema.experiment import ExperimentConfig
from core.schema.job import JobState, Phase, RunStatus
from core.schema.result import FailureKind


class Shown(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class PooledFigures(Shown):
    """Means over the runs of an experiment."""

    num_runs: int
    """Runs."""
    val_loss: float
    """Validation loss, in nats."""
    val_accuracy: float
    """Top-1 next-token accuracy."""
    val_perplexity: float
    """exp of the validation loss."""
    train_seconds: float
    """Optimizer steps."""
    cost_usd: float | None
    """Cost of one run; None if the device has no price."""


class BoardRow(Shown):
    """An experiment with results."""

    rank: int | None
    """From 1; None for the baseline."""
    submission_id: str | None
    """Id; None if nobody submitted it."""
    name: str
    """Name."""
    author: str
    """Author."""
    result: PooledFigures
    """Figures."""
    delta: float | None
    """Validation loss less the baseline's."""


class RunOfBoard(Shown):
    """A run without a result."""

    run_id: str
    """Id."""
    seed: int
    """Seed."""
    state: JobState
    """State of its job."""
    failure: FailureKind | None
    """Class of the failure, if it failed."""
    failure_message: str
    """What happened."""


class WaitingRow(Shown):
    """A run without a result, and its name."""

    name: str
    """Name of the submission."""
    run: RunOfBoard
    """The run."""


class Board(Shown):
    """A track's board."""

    track: str
    """Track name."""
    key: str | None
    """Comparability key; None while there are no results."""
    baseline: BoardRow | None
    """The baseline."""
    rows: tuple[BoardRow, ...]
    """All other experiments, best first."""
    active: tuple[WaitingRow, ...]
    """Runs that are running or queued."""
    ended: tuple[WaitingRow, ...]
    """Runs that failed or were cancelled."""


class QueueEntry(Shown):
    """A job that runs or waits."""

    run_id: str
    """Run."""
    submission_id: str
    """Submission."""
    name: str
    """The submission's name."""
    author: str
    """Its author."""
    track: str
    """Track name."""
    state: JobState
    """Running or queued."""
    worker: str | None
    """Worker that has it."""
    phase: Phase | None
    """What it is doing."""
    completed: int
    """Units of the phase that are done."""
    total: int
    """Units of the phase; 0 if unknown."""


class Queue(Shown):
    """All jobs that are not done."""

    running: tuple[QueueEntry, ...]
    """Jobs under lease."""
    queued: tuple[QueueEntry, ...]
    """Jobs that wait, the next one first."""


class SubmissionView(Shown):
    """A submission."""

    submission_id: str
    """Id."""
    config: ExperimentConfig
    """Every setting of its experiment."""
    run: RunStatus
    """Where its run stands."""
