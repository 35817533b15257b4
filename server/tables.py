"""Database tables. Times are timezone-aware UTC; create rows with `Table.model_validate`."""

from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Enum,
    ForeignKey,
    Index,
    Table,
    Text,
    TypeDecorator,
    text,
)
from sqlalchemy.engine import Dialect
from sqlmodel import Field, SQLModel

from core.schema.job import JobState, Phase
from core.schema.result import FailureKind, Verification

SQLModel.metadata.naming_convention = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC; SQLite, which has no time zones, gets it back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times, store UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Attach UTC where the database forgot it."""
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


class StoredText(TypeDecorator[str]):
    """Text from outside; PostgreSQL stores no NUL character, so none is kept anywhere."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Put the replacement character in place of NUL."""
        return value.replace("\x00", "\ufffd") if value is not None else None


def stored_enum(kind: type[StrEnum]) -> Enum:
    """Column type that stores a member's value as text, so that a new member needs no migration."""
    return Enum(
        kind,
        native_enum=False,
        create_constraint=False,
        length=32,
        values_callable=lambda members: [member.value for member in members],
    )


def utc_now() -> datetime:
    """The present moment in UTC."""
    return datetime.now(UTC)


def table_of(rows: type[SQLModel]) -> Table:
    """The table of a class of rows, for statements that are built once and make no objects.

    Such statements do not flush what a session still holds.
    """
    return SQLModel.metadata.tables[str(rows.__tablename__)]


class Experiment(SQLModel, table=True):
    """A resolved config on a track version; equal configs are one row."""

    hash: str = Field(primary_key=True, max_length=64)
    track: str = Field(index=True, max_length=40)
    track_version: int
    config: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    created_at: datetime = Field(sa_type=UtcDateTime, default_factory=utc_now)


class SubmissionRow(SQLModel, table=True):
    """An author's YAML and what it resolved to."""

    __tablename__ = "submission"
    # Pages of all submissions, of a track's and of an author's, the newest first.
    __table_args__ = (
        Index("ix_submission_created_at", "created_at"),
        Index("ix_submission_track_created_at", "track", "created_at"),
        Index("ix_submission_author_created_at", "author", "created_at"),
    )

    id: str = Field(primary_key=True, max_length=40)
    experiment_hash: str = Field(foreign_key="experiment.hash", index=True)
    track: str = Field(max_length=40)
    name: str = Field(max_length=80, sa_type=StoredText)
    author: str = Field(max_length=40)
    hypothesis: str = Field(sa_type=StoredText)
    built_on: str | None = Field(default=None, foreign_key="submission.id")
    yaml: str = Field(sa_type=StoredText)
    idempotency_key: str = Field(unique=True, max_length=80)
    run_id: str = Field(foreign_key="run.id", index=True)
    created_at: datetime = Field(sa_type=UtcDateTime, default_factory=utc_now)


class RunPurpose(StrEnum):
    """Why a run was queued."""

    SUBMISSION = "submission"
    BASELINE = "baseline"
    """To measure the baseline that others are judged against."""
    VERDICT = "verdict"
    """One more seed, because a verdict is open."""
    RERUN = "rerun"
    """Somebody asked for another look."""
    CANARY = "canary"
    """To see whether a worker still measures what it did."""
    CONFIRMATION = "confirmation"
    """To see whether a trusted worker measures what another one did."""
    ABLATION = "ablation"
    """Without one setting of a better experiment, to know what the setting brings."""
    REBASE = "rebase"
    """A submission on the track's new version."""


class Run(SQLModel, table=True):
    """One training and evaluation of one experiment with one seed.

    The measured columns repeat what `result` holds, for sorting and filtering.
    """

    # The project may bring the same seed measured on different data.
    __table_args__ = (
        Index(
            "uq_run_experiment_seed",
            "experiment_hash",
            "seed",
            unique=True,
            sqlite_where=text("origin = 'worker'"),
            postgresql_where=text("origin = 'worker'"),
        ),
        # The losses of a board, experiment by experiment.
        Index("ix_run_board", "comparability_key", "experiment_hash", "val_loss"),
        # Without it SQLite reads every run of a key to find those of one experiment.
        Index("ix_run_experiment_hash_key", "experiment_hash", "comparability_key"),
    )

    id: str = Field(primary_key=True, max_length=40)
    experiment_hash: str = Field(foreign_key="experiment.hash", index=True)
    seed: int = Field(sa_type=BigInteger)
    origin: str = Field(default="worker", max_length=20)
    """`worker`, `canary` for a run that tells of its worker alone, or `project` for a baseline run
    that comes with the project."""
    note: str = Field(default="", sa_type=StoredText)
    purpose: RunPurpose = Field(default=RunPurpose.SUBMISSION, sa_type=stored_enum(RunPurpose))
    requested_by: str = Field(default="", max_length=40, sa_type=StoredText)
    """Who asked for it, where somebody did."""
    held_reason: str = Field(default="", sa_type=StoredText)
    """Why verdicts leave its result out for now; empty where they do not."""
    verification: Verification = Field(
        default=Verification.TRUSTED, sa_type=stored_enum(Verification)
    )
    # None is the database's NULL, not JSON's.
    result: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    comparability_key: str | None = Field(default=None, max_length=16)
    val_loss: float | None = None
    cost_usd: float | None = None
    created_at: datetime = Field(sa_type=UtcDateTime, default_factory=utc_now)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Priority(IntEnum):
    """What the queue serves first, the lowest number before all others."""

    CANARY = -1
    """Whether the worker is in order comes before what it would measure."""
    CONFIRM = 0
    """Baselines, and runs that decide a verdict or a record."""
    NEW = 1
    RERUN = 2
    IDLE = 3
    """Nobody waits for it: only workers that would stand idle take it."""


class Job(SQLModel, table=True):
    """A queue entry that asks for one run; it is leased, and has attempts.

    The track and its version repeat what the experiment says, for looking jobs up.
    """

    __table_args__ = (
        # The queue in its order, so that a claim reads no further than to the job that it takes.
        Index("ix_job_claim_order", "state", "priority", "author_gpu_minutes", "position", "id"),
        # The newest results are asked for with every forecast.
        Index("ix_job_state_finished_at", "state", "finished_at"),
        # Which versions wait, without those that ran: the history is longer than the queue.
        Index(
            "ix_job_version",
            "track",
            "track_version",
            sqlite_where=text("state = 'queued'"),
            postgresql_where=text("state = 'queued'"),
        ),
        # What a worker measured on a track, the newest last.
        Index("ix_job_worker_track", "worker_id", "track", "track_version", "finished_at"),
    )

    id: str = Field(primary_key=True, max_length=40)
    run_id: str = Field(foreign_key="run.id", unique=True)
    track: str = Field(max_length=40)
    track_version: int
    state: JobState = Field(default=JobState.QUEUED, sa_type=stored_enum(JobState))
    position: int = Field(index=True)
    """Order among jobs of one priority: the smallest is claimed first."""
    priority: int = Field(default=Priority.NEW)
    needs_cuda: bool
    memory_bytes: int = Field(sa_type=BigInteger)
    """Device memory that the run may need."""
    only_worker_id: str | None = Field(default=None, foreign_key="worker.id", index=True)
    """The one worker that may have it; None for any."""
    only_key: str | None = Field(default=None, max_length=16)
    """The comparability key that waits for its result, so that a worker of other data may not have
    it; None for any."""
    only_trusted: bool = False
    """Whether only a trusted worker may have it."""
    charged_to: str = Field(default="", max_length=40, index=True)
    """The author whose quota pays for its attempts; empty for nobody."""
    estimated_seconds: float = 0.0
    """What is reserved of the quota until it has ended."""
    author_gpu_minutes: int = 0
    """What that author had used in seven days when it was last brought up to date; 0 for nobody."""
    attempt: int = 0
    """Attempts begun."""
    worker_id: str | None = Field(default=None, foreign_key="worker.id")
    lease_token: str | None = Field(default=None, max_length=64)
    lease_expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime, index=True)
    cancel_requested: bool = False
    phase: Phase | None = Field(default=None, sa_type=stored_enum(Phase))
    completed: int = Field(default=0, sa_type=BigInteger)
    total: int = Field(default=0, sa_type=BigInteger)
    failure: FailureKind | None = Field(default=None, sa_type=stored_enum(FailureKind))
    failure_message: str = Field(default="", sa_type=StoredText)
    created_at: datetime = Field(sa_type=UtcDateTime, default_factory=utc_now)
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class AttemptOutcome(StrEnum):
    """How an attempt ended; while it goes on, it has none."""

    RESULT = "result"
    FAILURE = "failure"
    RETURNED = "returned"
    LEASE_EXPIRED = "lease_expired"


class Attempt(SQLModel, table=True):
    """One lease of a job to a worker, kept for good: a repeated report is known by its token."""

    job_id: str = Field(foreign_key="job.id", primary_key=True)
    number: int = Field(primary_key=True)
    """Counted from 1."""
    worker_id: str = Field(foreign_key="worker.id", index=True)
    lease_token: str = Field(max_length=64)
    num_devices: int = 1
    """GPUs that it was expected to train on when it was claimed."""
    started_at: datetime = Field(sa_type=UtcDateTime, default_factory=utc_now)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    outcome: AttemptOutcome | None = Field(default=None, sa_type=stored_enum(AttemptOutcome))
    failure: FailureKind | None = Field(default=None, sa_type=stored_enum(FailureKind))
    message: str = Field(default="", sa_type=StoredText)


class Worker(SQLModel, table=True):
    """A process on a GPU machine that claims jobs."""

    id: str = Field(primary_key=True, max_length=40)
    name: str = Field(unique=True, max_length=80, sa_type=StoredText)
    device: str = Field(max_length=120, sa_type=StoredText)
    has_cuda: bool
    memory_bytes: int = Field(sa_type=BigInteger)
    code_commit: str = Field(max_length=80, sa_type=StoredText)
    is_trusted: bool = True
    """Whether its results count for records by themselves."""
    first_seen_at: datetime = Field(sa_type=UtcDateTime, default_factory=utc_now)
    last_seen_at: datetime = Field(sa_type=UtcDateTime, default_factory=utc_now)
    temperature_celsius: float | None = None
    memory_used_bytes: int | None = Field(default=None, sa_type=BigInteger)
    memory_total_bytes: int | None = Field(default=None, sa_type=BigInteger)
    driver: str = Field(default="", sa_type=StoredText)
    telemetry_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When it told the four; None if it never did."""


class Metric(SQLModel, table=True):
    """Training metrics of one optimizer step of a run."""

    run_id: str = Field(sa_column=Column(ForeignKey("run.id"), primary_key=True))
    step: int = Field(primary_key=True, sa_type=BigInteger)
    tokens: int = Field(sa_type=BigInteger)
    train_seconds: float
    train_loss: float
    learning_rate: float
    adamw_learning_rate: float
    gradient_norm: float
    tokens_per_second: float
    val_loss: float | None = None
    val_accuracy: float | None = None
    expert_max_violation: float | None = None
    worst_expert_max_violation: float | None = None
    idle_expert_share: float | None = None


class LogPiece(SQLModel, table=True):
    """A piece of the log of one attempt of a run."""

    __tablename__ = "log_piece"

    run_id: str = Field(sa_column=Column(ForeignKey("run.id"), primary_key=True))
    attempt: int = Field(primary_key=True)
    offset: int = Field(primary_key=True, sa_type=BigInteger)
    """Characters of the attempt's log before the piece."""
    text: str = Field(sa_type=StoredText)
