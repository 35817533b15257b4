"""What one child process of the speed benchmark measures: its request and its answer.

Torch-free, so that the parent starts at once and holds no device.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field, JsonValue

from core.schema.base import Message

Computation = Literal["fast", "reference", "triton"]
"""How a run computes: as always; by plain PyTorch operations, nothing compiled; or with the
Triton grouped product wherever there are kernels."""


class MachineRequest(Message):
    """Describe the machine and measure its largest matrix rate."""

    kind: Literal["machine"] = "machine"
    size: int = Field(ge=1)
    """Side of the square matrices."""


class RunRequest(Message):
    """Train and evaluate a track's baseline once."""

    kind: Literal["run"] = "run"
    track: str
    """Track name."""
    overrides: dict[str, JsonValue]
    """What differs from the track's baseline."""
    seed: int = Field(ge=0)
    """Seed of the run."""
    computation: Computation
    """How it computes."""
    mirror: Path | None
    """Mirror file, as for `runner train`."""
    cache_directory: Path
    """Where token files are kept from run to run."""
    device: Literal["auto", "cuda"]
    """`auto` takes a processor where there is no CUDA device."""


class DataRequest(Message):
    """Prepare a track's tokens, and encode the same documents by the tokenizer library alone."""

    kind: Literal["data"] = "data"
    track: str
    """Track name."""
    num_documents: int | None
    """Documents, or None for the track's own number."""
    mirror: Path | None
    """Mirror file, as for `runner train`."""


class ProcessorRequest(Message):
    """Train `debug` on two processor cores, in turns as always and by the plain reference."""

    kind: Literal["processor"] = "processor"
    steps: int = Field(ge=1)
    """Optimizer steps of each run."""
    rounds: int = Field(ge=1)
    """Runs of each of the two; the fastest counts."""
    cache_directory: Path
    """Where token files are kept from run to run."""


class MachineFigures(Message):
    """The machine that everything is measured on."""

    kind: Literal["machine"] = "machine"
    device: str
    """GPU model, or `cpu`."""
    torch: str
    """Version of PyTorch."""
    flops_per_second: float
    """Median rate of a product of large random matrices: bfloat16 on CUDA, else float32."""


class RunFigures(Message):
    """What a run measured."""

    kind: Literal["run"] = "run"
    steps: int
    """Optimizer steps."""
    tokens_per_second: float
    """Training tokens over time in optimizer steps."""
    flops_per_token: float
    """Training FLOPs by the estimate's formula."""
    peak_memory_bytes: int
    """Largest memory allocated on the device; on a processor, of the process."""
    compile_seconds: float
    """Compilation and warm-up."""
    train_seconds: float
    """Optimizer steps alone."""
    eval_seconds: float
    """Validations and tasks."""
    validation_tokens: int
    """Tokens predicted in one validation."""
    num_questions: int
    """Questions of all tasks."""
    val_loss: float
    """Nats per token."""


class RateFigures(Message):
    """Our speed and that of what it is held against."""

    kind: Literal["rate"] = "rate"
    tokens_per_second: float
    """Ours."""
    reference_tokens_per_second: float
    """The other's."""


Work = MachineRequest | RunRequest | DataRequest | ProcessorRequest
Figures = MachineFigures | RunFigures | RateFigures


class Request(Message):
    """What a child reads."""

    work: Work = Field(discriminator="kind")
    """What to measure."""


class Answer(Message):
    """What a child writes."""

    figures: Figures = Field(discriminator="kind")
    """What it measured."""
