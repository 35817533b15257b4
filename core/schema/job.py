"""Messages between client, worker and server."""

from enum import StrEnum
from typing import Self

from pydantic import AwareDatetime, ConfigDict, Field

from core.schema.base import MAX_COUNT, Message
from core.schema.checkpoint import StoredCheckpoint
from core.schema.experiment import ExperimentConfig
from core.schema.forecast import Forecast
from core.schema.metric_point import MetricPoint
from core.schema.problem import Problem
from core.schema.quota import QuotaStatus
from core.schema.result import DataIdentity, FailureKind, RunResult, Verification
from core.schema.telemetry import Telemetry
from core.schema.track import Budget, Sharding

PROTOCOL_VERSION = 4
"""Raised whenever an old worker could misunderstand a job; not for what a worker may leave out."""
MAX_NAME_LENGTH = 80
"""Of a worker's name, in characters."""
MAX_METRIC_POINTS = 1000
MAX_LOG_CHARACTERS = 64 * 1024


class JobState(StrEnum):
    """Where a job, and its run, stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


class Phase(StrEnum):
    """What a run is doing."""

    PREPARING_DATA = "preparing_data"
    COMPILING = "compiling"
    TRAINING = "training"
    EVALUATING = "evaluating"


class RunSpec(Message):
    """All that training needs to know about a run."""

    run_id: str
    """Id of the run on the server, or of a local run's folder."""
    track: str
    """Track name."""
    track_version: int
    """Track version."""
    experiment: ExperimentConfig
    """Resolved config."""
    seed: int = Field(ge=0)
    """Seed of weights, data order and dropout."""
    budget: Budget
    """Bounds that the runner enforces."""
    prices_usd_per_hour: dict[str, float] = Field(default_factory=dict)
    """The track's price list."""
    expected_data: DataIdentity | None = None
    """What the track's data must be; None while nobody has pinned it."""
    max_devices: int = Field(default=1, ge=1)
    """GPUs that the run may use at once."""
    sharding: Sharding = "none"
    """What each of several GPUs holds."""
    anchor: ExperimentConfig | None = None
    """The track's base config, whose speed a worker measures beside the run's; None for none."""

    def num_devices(self, visible: int) -> int:
        """How many of the visible GPUs it trains on, at least 1: as many as its track allows, and
        as share out every part of every batch evenly."""
        training = self.experiment.training
        rows = [size // training.gradient_accumulation_steps for size in training.batch_sizes]
        most = min(visible, self.max_devices)
        fitting = (n for n in range(most, 1, -1) if all(count % n == 0 for count in rows))
        return next(fitting, 1)

    def is_same_run(self, other: Self) -> bool:
        """Whether both train the same; what only frames the run may change while it waits."""
        apart = {
            "budget",
            "prices_usd_per_hour",
            "max_devices",
            "sharding",
            "anchor",
            "expected_data",
        }
        return self.model_dump(exclude=apart) == other.model_dump(exclude=apart)


class WorkerHello(Message):
    """A worker introduces itself."""

    protocol_version: int
    """The worker's `PROTOCOL_VERSION`."""
    name: str = Field(min_length=1, max_length=MAX_NAME_LENGTH)
    """Name that its owner gave it; the same name is the same worker."""
    device: str = Field(min_length=1, max_length=120)
    """GPU model, or `cpu`."""
    has_cuda: bool
    """Whether it can run tracks that need a CUDA device."""
    memory_bytes: int = Field(ge=0, le=MAX_COUNT)
    """Memory of the device; 0 if unknown."""
    code_commit: str = Field(max_length=80)
    """Version of the project on the worker."""


class WorkerRegistration(Message):
    """The server's answer to a worker."""

    worker_id: str
    """Id for all later calls."""
    heartbeat_seconds: float
    """How often a running job must be reported."""
    checkpoint_bytes: int = Field(default=0, ge=0)
    """Largest checkpoint that the server takes; 0 for none."""


class JobOffer(Message):
    """A job under lease."""

    job_id: str
    """Id of the job."""
    lease_token: str
    """Proof of the lease; every report carries it."""
    attempt: int = Field(ge=1)
    """First, second or third attempt."""
    run: RunSpec
    """What to train."""
    checkpoint: StoredCheckpoint | None = None
    """What an earlier attempt left on the server to go on from; None for nothing that fits."""


class Heartbeat(Message):
    """A worker says that its job goes on."""

    lease_token: str
    """Proof of the lease."""
    phase: Phase
    """What the run is doing."""
    completed: int = Field(ge=0, le=MAX_COUNT)
    """Units of the phase that are done."""
    total: int = Field(ge=0, le=MAX_COUNT)
    """Units of the phase; 0 if unknown."""
    telemetry: Telemetry | None = None
    """How the device is doing; absent where nothing new was read, or by an older worker."""


class HeartbeatReply(Message):
    """The server's answer to a heartbeat."""

    cancel: bool
    """Whether the worker should stop the run."""


class MetricBatch(Message):
    """Metric points; the same step sent twice is stored once."""

    lease_token: str
    """Proof of the lease."""
    points: tuple[MetricPoint, ...] = Field(max_length=MAX_METRIC_POINTS)
    """In order of their steps."""


class LogChunk(Message):
    """A piece of the run's log; the same offset sent twice is stored once."""

    lease_token: str
    """Proof of the lease."""
    offset: int = Field(ge=0, le=MAX_COUNT)
    """Characters of this attempt's log before the piece."""
    text: str = Field(max_length=MAX_LOG_CHARACTERS)
    """Log text."""


class ResultReport(Message):
    """A run's outcome."""

    lease_token: str
    """Proof of the lease."""
    result: RunResult
    """Measured values."""


class FailureReport(Message):
    """A run ended without a result."""

    lease_token: str
    """Proof of the lease."""
    kind: FailureKind
    """Class of the failure."""
    message: str = Field(max_length=10_000)
    """What happened, for the author."""


class LeaseReturn(Message):
    """A worker hands an unfinished job back, for instance because it is shutting down."""

    lease_token: str
    """Proof of the lease."""


class SubmissionReceipt(Message):
    """The server's answer to a submission."""

    model_config = ConfigDict(extra="ignore")

    submission_id: str
    """Id of the submission."""
    run_id: str
    """Id of the run that was queued."""
    seed: int
    """Its seed."""
    experiment_hash: str
    """Identity of the experiment."""
    duplicate_of: str | None = None
    """Id of the first submission of an equal experiment, which this one adds a seed to."""
    jobs_ahead: int = Field(ge=0)
    """Jobs that will be claimed before this one."""
    forecast: Forecast | None = None
    """When it should start and end; None once it is over."""
    url: str
    """Page of the submission."""
    quota: QuotaStatus | None = None
    """What its author has left after it; None from a server that does not say."""


class RunStatus(Message):
    """Where a run stands."""

    model_config = ConfigDict(extra="ignore")

    run_id: str
    """Id."""
    submission_id: str
    """The submission that asked for it."""
    name: str
    """The submission's name."""
    track: str
    """Track name."""
    seed: int
    """Seed."""
    state: JobState
    """State of the run's job."""
    attempt: int
    """Attempts begun."""
    jobs_ahead: int | None
    """Jobs before it, while it is queued."""
    forecast: Forecast | None = None
    """When it should start and end, while it waits or runs."""
    phase: Phase | None
    """What it is doing, while it runs."""
    completed: int
    """Units of the phase that are done."""
    total: int
    """Units of the phase; 0 if unknown."""
    latest: MetricPoint | None
    """Newest metric point."""
    result: RunResult | None
    """Outcome, once it succeeded."""
    cost_usd: float | None
    """Compile and training time at the track's price; None if the device is not listed."""
    comparability_key: str | None = None
    """Key of the result, once there is one."""
    verification: Verification | None = None
    """Whether the result counts for records, by whom it was measured; None without a result."""
    failure: FailureKind | None
    """Class of the failure, if it failed."""
    failure_message: str
    """What happened."""
    failure_fault: str = ""
    """Whose fault it is, in words; empty without a failure."""
    failure_advice: str = ""
    """One sentence on what to do about it; empty without a failure."""
    last_lines: tuple[str, ...] = ()
    """The last 100 lines of its log, if it failed."""
    created_at: AwareDatetime
    """When it was queued."""
    url: str
    """Page of the submission."""


class ErrorBody(Message):
    """Every error answer of the API."""

    kind: str
    """Short machine-readable class, such as `invalid_submission` or `not_found`."""
    message: str
    """What is wrong and what to do, for a person."""
    problems: tuple[Problem, ...] = ()
    """All that is wrong with the input, where it is an input."""
