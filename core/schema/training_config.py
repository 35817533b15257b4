"""Settings of the schedule and of how the budget is spent, with their bounds and units.

A budget is tokens, steps or dollars. Whatever it is, the schedule follows the share of it
that is spent.
"""

from itertools import pairwise
from typing import Literal, Self

from pydantic import Field, model_validator

from core.schema.base import Config


class ScheduleConfig(Config):
    """The learning rate over the share of the budget that is spent."""

    kind: Literal["cosine", "linear", "warmup_stable_decay", "constant"] = "cosine"
    """Shape after the warm-up: down a cosine (arXiv:1608.03983) or a line, flat and then down a
    line (arXiv:2404.06395), or flat."""
    warmup_fraction: float = Field(default=0.05, ge=0.0, lt=1.0)
    """Share of the budget with a linear rise from zero."""
    decay_fraction: float = Field(default=0.2, gt=0.0, le=1.0)
    """Share of the budget, its last, over which `warmup_stable_decay` falls."""
    final_fraction: float = Field(default=0.1, ge=0.0, le=1.0)
    """Learning rate at the end, as a share of the peak."""

    @model_validator(mode="after")
    def _phases_fit(self) -> Self:
        if (
            self.kind == "warmup_stable_decay"
            and self.warmup_fraction + self.decay_fraction > 1.0 + 1e-9
        ):
            raise ValueError(
                f"warmup_fraction {self.warmup_fraction} + decay_fraction {self.decay_fraction} "
                "must be at most 1"
            )
        return self


class BatchSizeStage(Config):
    """From when on a step has another number of sequences."""

    from_fraction: float = Field(gt=0.0, lt=1.0)
    """Share of the budget that is spent when it begins."""
    batch_size: int = Field(ge=1, le=65_536)
    """Sequences in one optimizer step."""


class SequenceLengthStage(Config):
    """From when on training sequences have another length."""

    from_fraction: float = Field(gt=0.0, lt=1.0)
    """Share of the budget that is spent when it begins."""
    sequence_length: int = Field(ge=8, le=65_536)
    """Tokens in one training sequence."""


class TrainingConfig(Config):
    """How the budget is spent: exactly one of `tokens`, `steps` and `dollars` is above 0."""

    tokens: int = Field(default=0, ge=0, le=10**13)
    """Budget in training tokens; the steps follow from what a step reads."""
    steps: int = Field(default=0, ge=0, le=10**9)
    """Budget in optimizer steps."""
    dollars: float = Field(default=0.0, ge=0.0, le=1e6)
    """Budget in dollars of compile and training time, at the track's price of the device;
    schedule and stages follow the share that is spent of what compiling leaves."""
    batch_size: int = Field(default=16, ge=1, le=65_536)
    """Sequences in one optimizer step."""
    batch_size_stages: tuple[BatchSizeStage, ...] = Field(default=(), max_length=8)
    """Later batch sizes, in order."""
    sequence_length: int = Field(default=1024, ge=8, le=65_536)
    """Tokens in one training sequence."""
    sequence_length_stages: tuple[SequenceLengthStage, ...] = Field(default=(), max_length=8)
    """Later sequence lengths, in order; each divides the longest."""
    gradient_accumulation_steps: int = Field(default=1, ge=1, le=4096)
    """Equal parts into which a step's batch is cut to save memory; divides every batch size."""
    precision: Literal["bfloat16", "float32"] = "bfloat16"
    """Number format of the matrix products."""
    weights: Literal["float32", "bfloat16"] = "float32"
    """Number format in which weights, gradients and optimizer state are kept."""
    early_stopping_evaluations: int = Field(default=0, ge=0, le=10_000)
    """Stop after this many evaluations without a better validation loss; 0 never stops early."""

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """All batch sizes, in order."""
        return (self.batch_size, *(stage.batch_size for stage in self.batch_size_stages))

    @property
    def sequence_lengths(self) -> tuple[int, ...]:
        """All sequence lengths, in order."""
        later = (stage.sequence_length for stage in self.sequence_length_stages)
        return (self.sequence_length, *later)

    @property
    def row_length(self) -> int:
        """Tokens in a row of the training text: the longest sequence length."""
        return max(self.sequence_lengths)

    @model_validator(mode="after")
    def _budget_fits(self) -> Self:
        given = [name for name in ("tokens", "steps", "dollars") if getattr(self, name) > 0]
        if len(given) != 1:
            raise ValueError(
                "exactly one of tokens, steps and dollars must be above 0; here "
                f"{' and '.join(given) if given else 'none'}"
            )
        first_step = self.batch_size * self.sequence_length
        if self.tokens and self.tokens < first_step:
            raise ValueError(
                f"batch_size × sequence_length = {first_step} tokens must be at most tokens "
                f"{self.tokens}, so that there is one step"
            )
        return self

    @model_validator(mode="after")
    def _stages_fit(self) -> Self:
        for name in ("batch_size_stages", "sequence_length_stages"):
            starts = [stage.from_fraction for stage in getattr(self, name)]
            if any(later <= earlier for earlier, later in pairwise(starts)):
                raise ValueError(
                    f"{name}: from_fraction must rise from stage to stage; here {starts}"
                )
        for batch_size in self.batch_sizes:
            if batch_size % self.gradient_accumulation_steps:
                raise ValueError(
                    f"batch_size {batch_size} must be a multiple of "
                    f"gradient_accumulation_steps {self.gradient_accumulation_steps}"
                )
        for length in self.sequence_lengths:
            if self.row_length % length:
                raise ValueError(
                    f"sequence_length {length} must divide the longest, {self.row_length}"
                )
            for batch_size in self.batch_sizes:
                if batch_size * length % self.row_length:
                    raise ValueError(
                        f"batch_size {batch_size} × sequence_length {length} must be a multiple "
                        f"of the longest sequence length {self.row_length}"
                    )
        return self

    @model_validator(mode="after")
    def _formats_fit(self) -> Self:
        if self.weights == "bfloat16" and self.precision == "float32":
            raise ValueError(
                "weights bfloat16 needs precision bfloat16; float32 products of bfloat16 weights "
                "gain nothing"
            )
        return self
