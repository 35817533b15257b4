"""What a run reports at its end: its result or failure, and where it came from."""

import hashlib
import math
from enum import StrEnum
from typing import Self

from pydantic import AwareDatetime, ConfigDict, Field, computed_field, model_validator

from core.schema.base import Message
from core.schema.experiment import TaskName
from core.schema.right_bits import MAX_RIGHT_CHARACTERS, right_mask

MAX_SECONDS = 1e9
MAX_TOKENS_PER_SECOND = 1e12
"""Far beyond what can be, but sums, means and ratios of such numbers are finite."""
EVALUATION_PROTOCOL = 1
"""Raised whenever the same weights would score differently."""


class FailureKind(StrEnum):
    """The closed list of ways in which a run can end without a result."""

    INVALID_CONFIG = "invalid_config"
    OUT_OF_MEMORY = "out_of_memory"
    DIVERGED = "diverged"
    BUDGET_EXCEEDED = "budget_exceeded"
    WORKER_LOST = "worker_lost"
    DATA_UNAVAILABLE = "data_unavailable"
    INTERNAL_ERROR = "internal_error"
    CANCELLED = "cancelled"

    @property
    def is_platform_fault(self) -> bool:
        """Whether the platform, not the submission, is at fault; only then is it retried."""
        return self in (
            FailureKind.WORKER_LOST,
            FailureKind.DATA_UNAVAILABLE,
            FailureKind.INTERNAL_ERROR,
        )

    @property
    def fault(self) -> str:
        """Whose fault it is, in words."""
        if self is FailureKind.CANCELLED:
            return "nobody's fault"
        return f"the {'platform' if self.is_platform_fault else 'submission'}'s fault"

    @property
    def advice(self) -> str:
        """One sentence on what to do about it."""
        return _ADVICE[self]


_ADVICE = {
    FailureKind.INVALID_CONFIG: "Correct the settings that the message names and submit again.",
    FailureKind.OUT_OF_MEMORY: "Make the model or the batch smaller, or accumulate gradients "
    "over more, smaller parts.",
    FailureKind.DIVERGED: "The loss stopped being a number: lower the learning rates or "
    "lengthen the warm-up.",
    FailureKind.BUDGET_EXCEEDED: "Train on fewer tokens or make the model cheaper.",
    FailureKind.WORKER_LOST: "No worker lived long enough to end it; submit it again.",
    FailureKind.DATA_UNAVAILABLE: "Check the connection to the hub, or the mirror, of the "
    "machine that trains.",
    FailureKind.INTERNAL_ERROR: "A fault of the platform, not of the config; the log says more.",
    FailureKind.CANCELLED: "It was cancelled; submit it again if it is still wanted.",
}


class Verification(StrEnum):
    """Whether a result counts for records, by whom it was measured."""

    TRUSTED = "trusted"
    """A trusted worker measured it, or it came with the project."""
    UNVERIFIED = "unverified"
    """Another worker did, and no trusted one has measured the experiment yet."""
    VERIFIED = "verified"
    """Another worker did, and a trusted one measured the same within the noise."""
    REFUTED = "refuted"
    """Another worker did, and a trusted one measured something else; it is held."""


class TaskScore(Message):
    """Score of a multiple-choice task; its JSON also carries what is computed from it."""

    model_config = ConfigDict(extra="ignore")

    name: TaskName
    """Task."""
    num_questions: int = Field(ge=1)
    """Questions scored; all that the task has."""
    acc: float = Field(ge=0.0, le=1.0)
    """Share of questions whose right answer has the highest summed log-likelihood."""
    acc_norm: float = Field(ge=0.0, le=1.0)
    """The same with log-likelihood divided by the answer's length in bytes."""
    right: str = Field(default="", max_length=MAX_RIGHT_CHARACTERS)
    """Which questions `acc_norm` counts, in the order of the data set, as `pack_right` writes them;
    empty in results from before this was kept."""

    @model_validator(mode="after")
    def _right_is_acc_norm(self) -> Self:
        """The bits say the same as the share.

        Raises:
            ValueError: they are of other questions, or of another number of right ones.
        """
        if self.right:
            try:
                count = right_mask(self.right, self.num_questions).bit_count()
            except ValueError as error:
                raise ValueError(f"right {error}") from error
            if abs(count / self.num_questions - self.acc_norm) > 1e-9:
                raise ValueError(
                    f"right has {count} of {self.num_questions} questions, "
                    f"but acc_norm is {self.acc_norm}; one must be the share of the other."
                )
        return self

    @computed_field  # type: ignore[prop-decorator]
    @property
    def acc_stderr(self) -> float:
        """Binomial standard error of `acc`."""
        return math.sqrt(self.acc * (1 - self.acc) / max(1, self.num_questions - 1))

    @computed_field  # type: ignore[prop-decorator]
    @property
    def acc_norm_stderr(self) -> float:
        """Binomial standard error of `acc_norm`."""
        return math.sqrt(self.acc_norm * (1 - self.acc_norm) / max(1, self.num_questions - 1))


class Timing(Message):
    """Where the time went; evaluation is never inside `train_seconds`."""

    data_seconds: float = Field(ge=0.0, le=MAX_SECONDS)
    """Preparing or opening the token files."""
    compile_seconds: float = Field(ge=0.0, le=MAX_SECONDS)
    """Warm-up on dummy data; model and optimizer are restored after it."""
    train_seconds: float = Field(ge=0.0, le=MAX_SECONDS)
    """Optimizer steps alone, fenced by device synchronisation."""
    eval_seconds: float = Field(ge=0.0, le=MAX_SECONDS)
    """Validation and tasks."""


DATA_PARTS = {
    "tokenizer": ("tokenizer_hash",),
    "training text": ("train_hash", "train_tokens"),
    "validation text": ("validation_hash", "validation_tokens", "validation_bytes"),
    "questions": ("evaluation_hash",),
}
"""Parts of the data, and the attributes of `DataIdentity` that identify each."""


class DataIdentity(Message):
    """Hashes and sizes of the data as loaded."""

    tokenizer_hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of the tokenizer's own serialisation."""
    train_hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of the training tokens."""
    train_tokens: int = Field(ge=1)
    """Training tokens available."""
    validation_hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of the validation tokens that are evaluated."""
    validation_tokens: int = Field(ge=1)
    """Tokens predicted in one validation."""
    validation_bytes: int = Field(ge=1)
    """UTF-8 bytes of the predicted tokens."""
    evaluation_hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of the questions of all tasks, in order."""

    def other_parts(self, expected: Self) -> str:
        """Which parts are not as expected, for a person; empty if all are."""
        return ", ".join(
            part
            for part, names in DATA_PARTS.items()
            if any(getattr(self, name) != getattr(expected, name) for name in names)
        )

    def comparability_key(self, track: str, version: int) -> str:
        """Sixteen hexadecimal digits; results are ranked together only under one key."""
        parts = (
            f"{track}@{version}",
            self.tokenizer_hash,
            f"{self.train_hash}:{self.train_tokens}",
            f"{self.validation_hash}:{self.validation_tokens}:{self.validation_bytes}",
            self.evaluation_hash,
            f"protocol {EVALUATION_PROTOCOL}",
        )
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


class Provenance(Message):
    """What it takes to measure the same thing again."""

    code_commit: str
    """Git commit of the project; ends in `+changes` if the tree was not clean."""
    packages: dict[str, str]
    """Versions of the packages that shape numbers."""
    python: str
    """Python version."""
    platform: str
    """Operating system and processor."""
    device: str
    """GPU model, or `cpu`."""
    num_devices: int = Field(default=1, ge=1)
    """Devices of that model that trained together."""
    driver: str
    """GPU driver version; empty on a processor."""
    compiled: bool
    """Whether the training step was compiled."""
    memory_cap_bytes: int | None = Field(default=None, ge=1)
    """Cap enforced on the device, in bytes."""
    data: DataIdentity
    """What was trained and evaluated on."""
    is_mirror: bool = False
    """Whether local files stood in for the hub's."""

    @property
    def devices(self) -> str:
        """Model and, if there were several, number of the devices, for a reader."""
        return self.device if self.num_devices == 1 else f"{self.num_devices} × {self.device}"


class Anchor(Message):
    """How fast a track's baseline trains on a worker: what its runs' speed is a ratio to."""

    tokens_per_second: float = Field(ge=1e-3, le=MAX_TOKENS_PER_SECOND)
    """Training tokens per second of the baseline, measured briefly on made-up tokens."""
    device: str
    """GPU model, or `cpu`."""
    num_devices: int = Field(default=1, ge=1)
    """Devices of that model that trained together."""
    driver: str
    """GPU driver version; empty on a processor."""
    torch: str
    """PyTorch version."""
    code_commit: str
    """Git commit of the project."""
    measured_at: AwareDatetime
    """When it was measured, in UTC."""

    def holds_for(self, provenance: Provenance) -> bool:
        """Whether a run came from the machine and the code that were measured."""
        measured = (self.device, self.driver, self.torch, self.code_commit)
        torch = provenance.packages.get("torch")
        return measured == (provenance.device, provenance.driver, torch, provenance.code_commit)


class RunResult(Message):
    """Outcome of one run; its JSON also carries what is computed from it."""

    model_config = ConfigDict(extra="ignore")

    seed: int = Field(ge=0)
    """Seed of weights, data order and dropout."""
    steps: int = Field(ge=1)
    """Optimizer steps done."""
    tokens: int = Field(ge=1)
    """Training tokens read."""
    stopped_early: bool
    """Whether early stopping ended training."""
    val_loss: float = Field(ge=0.0, le=700.0)
    """Summed negative log-likelihood over predicted tokens, in nats; beyond the bound its
    perplexity is no number."""
    val_accuracy: float = Field(ge=0.0, le=1.0)
    """Top-1 next-token accuracy."""
    val_bpb: float = Field(ge=0.0, le=1e6)
    """Bits per UTF-8 byte of validation text."""
    tasks: tuple[TaskScore, ...] = ()
    """Multiple-choice scores."""
    timing: Timing
    """Phases."""
    tokens_per_second: float = Field(ge=0.0, le=MAX_TOKENS_PER_SECOND)
    """Training tokens over `train_seconds`."""
    peak_memory_bytes: int = Field(ge=0)
    """Largest memory in use on a device; on a processor, of the process."""
    num_parameters: int = Field(ge=1)
    """Trained parameters."""
    provenance: Provenance
    """Where it came from."""
    anchor: Anchor | None = None
    """The baseline's speed on the same worker in the same session; None if nobody measured it."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def val_perplexity(self) -> float:
        """exp of the validation loss."""
        return math.exp(self.val_loss)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def relative_speed(self) -> float | None:
        """Training speed as a multiple of the anchor's; None without one."""
        return (
            None if self.anchor is None else self.tokens_per_second / self.anchor.tokens_per_second
        )

    def cost_usd(self, price_usd_per_hour: float) -> float:
        """Dollars for compile and training time of all devices, at the price of one."""
        paid_seconds = self.timing.compile_seconds + self.timing.train_seconds
        return paid_seconds / 3600 * price_usd_per_hour * self.provenance.num_devices
