"""Every setting of an experiment, with its bounds and unit.

An experiment is identified by the hash of its canonical form (`core.schema.canonical`).
The canonical form leaves out settings at their default, so a new setting whose default is
the old behaviour changes no hash.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from core.schema.base import Config
from core.schema.model_config import ModelConfig
from core.schema.optimizer_config import OptimizerConfig
from core.schema.training_config import ScheduleConfig, TrainingConfig


class HubSource(Config):
    """A data set on the Hugging Face hub, read as a stream."""

    kind: Literal["hub"]
    """Which of the sources this is."""
    dataset: str = Field(min_length=1)
    """Name on the hub, `owner/name`."""
    subset: str = "default"
    """Configuration of the data set."""
    split: str = "train"
    """Split to read."""
    revision: str = "main"
    """Branch, tag or commit."""
    text_field: str = "text"
    """Column that holds the document."""


class FilesSource(Config):
    """Local parquet, jsonl (.gz, .zst) or text files, in sorted order."""

    kind: Literal["files"]
    """Which of the sources this is."""
    path: str = Field(min_length=1)
    """A file, or a folder that is searched for such files."""
    text_field: str = "text"
    """Column or key that holds the document."""


class SyntheticSource(Config):
    """Text about a small world that the project makes up (`core.data.synthetic`)."""

    kind: Literal["synthetic"]
    """Which of the sources this is."""
    world_seed: int = Field(default=0, ge=0, le=2**31 - 1)
    """Which world; the same number is the same world everywhere."""


Source = Annotated[HubSource | FilesSource | SyntheticSource, Field(discriminator="kind")]


class DataConfig(Config):
    """The text, and how it becomes tokens. Never open to submissions."""

    source: Source
    """Where documents come from."""
    tokenizer: str = Field(min_length=1)
    """Name on the hub, a folder with `tokenizer.json`, or `synthetic`."""
    num_documents: int = Field(ge=2, le=10**9)
    """Documents read from the source; fewer if it has fewer."""
    held_out_fraction: float = Field(default=0.1, gt=0.0, lt=1.0)
    """Share of the documents, the last ones, held out for validation."""
    separator: str = "<|endoftext|>"
    """Special token that follows each document."""


TaskName = Literal["arc_challenge", "arc_easy", "hellaswag", "synthetic_world"]


class EvaluationConfig(Config):
    """What is measured, and when. Never open to submissions."""

    sequence_length: int = Field(default=1024, ge=8, le=65_536)
    """Tokens in a validation row; each row has one prediction fewer."""
    validation_rows: int = Field(default=1600, ge=1, le=1_000_000)
    """Validation rows, from the start of the held-out text; fewer if it has fewer."""
    interval_steps: int = Field(default=50, ge=1, le=1_000_000)
    """Steps between validations during training."""
    tasks: tuple[TaskName, ...] = ()
    """Multiple-choice tasks scored after training."""


class ExperimentConfig(Config):
    """Everything that shapes a result, but for the seed."""

    model: ModelConfig
    """The network."""
    optimizer: OptimizerConfig = OptimizerConfig()
    """How weights are updated."""
    schedule: ScheduleConfig = ScheduleConfig()
    """How learning rates change."""
    training: TrainingConfig
    """How the budget is spent."""
    data: DataConfig
    """The text."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """What is measured."""

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.model.tie_embeddings and self.optimizer.adamw.head_rate_ratio != 1.0:
            raise ValueError(
                f"optimizer.adamw.head_rate_ratio {self.optimizer.adamw.head_rate_ratio} needs "
                "model.tie_embeddings false: a tied output matrix learns as the embedding"
            )
        return self
