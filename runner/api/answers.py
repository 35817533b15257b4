"""The parts of the server's pages for readers that the command line shows.

These classes name only what is shown and ignore the rest, so that a server may add to its
answers. `--json` prints the whole answer.
"""

from pydantic import BaseModel, ConfigDict

from core.schema.experiment import ExperimentConfig
from core.schema.forecast import Forecast
from core.schema.job import JobState, Phase, RunStatus
from core.schema.overrides import Change
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


class Judgement(Shown):
    """A verdict on the runs of one side against those of another. Losses are in nats."""

    verdict: str
    """`better`, `worse` or `unresolved`."""
    delta: float
    """Mean loss of the runs counted, less that of the other side."""
    low: float
    """Lower end of the interval of the difference."""
    high: float
    """Upper end of the interval of the difference."""
    num_runs: int
    """Runs counted."""
    num_baseline_runs: int
    """Runs counted of the other side."""
    further_runs: int | None
    """Runs that would settle it at the present difference; None if 80 would not."""


class ExperimentVerdict(Judgement):
    """A verdict on an experiment against the baseline."""

    next_look: int | None
    """Number of runs at which the next verdict is taken; None after the last."""
    is_record: bool
    """Whether it holds the board's record."""
    refuted: str
    """Why a verdict of `better` no longer stands; empty otherwise."""


class WithdrawnNote(Shown):
    """That an author took a submission back."""

    reason: str
    """Why."""
    requested_by: str
    """Who."""


class RerunNote(Shown):
    """That somebody asked for more runs of an experiment."""

    requested_by: str
    """Who."""
    before: str | None
    """The verdict then; None if there was none."""
    after: str | None
    """What came out; None until that is known."""


class BoardRow(Shown):
    """An experiment with results."""

    rank: int | None
    """From 1; None for the baseline and for what was withdrawn."""
    is_tied: bool
    """Whether it cannot be told apart from the row ranked above."""
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
    verdict: ExperimentVerdict | None
    """Against the baseline; None while there is none."""
    verified: bool
    """Whether trusted workers measured it, or measured the same as others did."""
    withdrawn: WithdrawnNote | None
    """Why it does not count, if its authors took it back."""
    reruns: tuple[RerunNote, ...]
    """Who asked for more runs of it, the newest first."""


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
    """All other experiments, best first, and behind them what was withdrawn."""
    pending: str
    """Why rows without a verdict have none."""
    active: tuple[WaitingRow, ...]
    """Runs that are running or queued."""
    ended: tuple[WaitingRow, ...]
    """Runs that failed or were cancelled."""


class QueueEntry(Shown):
    """A job that runs or waits."""

    run_id: str
    """Run."""
    purpose: str
    """Why it was queued, such as `submission` or `verdict`."""
    submission_id: str
    """Submission; empty for a baseline that nobody submitted."""
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
    forecast: Forecast | None = None
    """When it should start and end; None from an older server."""


class QueueAlarm(Shown):
    """That jobs wait for workers that are not there."""

    message: str
    """Which, and since when."""


class Queue(Shown):
    """Jobs that are not done."""

    running: tuple[QueueEntry, ...]
    """Jobs under lease."""
    queued: tuple[QueueEntry, ...]
    """The first jobs that wait, the next one first."""
    num_queued: int | None = None
    """Jobs that wait; None from an older server, which names them all."""
    alarm: QueueAlarm | None = None
    """That jobs wait for workers that are not there; None from an older server, too."""


class SubmissionView(Shown):
    """A submission."""

    submission_id: str
    """Id."""
    config: ExperimentConfig
    """Every setting of its experiment."""
    run: RunStatus
    """Where its run stands."""
    verdict: ExperimentVerdict | None
    """On its experiment, against the baseline; None while there is none."""
    withdrawn: WithdrawnNote | None
    """Why it does not count, if its author took it back."""


class Outcome(Shown):
    """What an experiment gave."""

    submission_id: str | None
    """Its first submission; None if nobody submitted it."""
    name: str
    """Name."""
    author: str
    """Author."""
    num_runs: int
    """Seeds measured on the board; 0 if there is no result yet."""
    delta: float | None
    """Validation loss less the baseline's."""
    verdict: ExperimentVerdict | None
    """Against the baseline; None while there is none."""
    withdrawn: WithdrawnNote | None
    """Why it does not count, if its authors took it back."""


class NearExperiment(Outcome):
    """A measured experiment near a config that was asked about."""

    changes: tuple[Change, ...]
    """What differs, from the config to the experiment."""


class NearestExperiments(Shown):
    """What was measured near a config."""

    equal: Outcome | None
    """The same experiment, if somebody submitted it."""
    nearest: tuple[NearExperiment, ...]
    """Others, the nearest first."""


class LedgerCheck(Shown):
    """How a server's database compares with its ledger, by its own account."""

    length: int
    """Entries of the ledger that it read."""
    head: str
    """Hash of the last one."""
    num_results: int
    """Results that it compared with their entries."""
    faults: tuple[str, ...]
    """What does not hold, a sentence each; empty if all holds."""
