"""Every setting of an experiment, with its bounds and unit.

An experiment is identified by the hash of its canonical form (`core.schema.overrides`).
The canonical form leaves out settings at their default, so a new setting whose default is
the old behaviour changes no hash.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from core.schema.base import Config


class LatentAttentionConfig(Config):
    """Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434, section 2.1)."""

    kv_rank: int = Field(default=64, ge=8, le=4096)
    """Width of the compressed keys and values, in channels."""
    rotary_head_dim: int = Field(default=32, ge=2, le=256, multiple_of=2)
    """Channels of a head that carry the rotary position; even."""
    plain_head_dim: int = Field(default=128, ge=0, le=256)
    """Channels of a query or key head without position."""
    value_head_dim: int = Field(default=128, ge=1, le=256)
    """Channels of a value head."""


class AttentionConfig(Config):
    """Causal self-attention."""

    kind: Literal["multi_head", "latent"] = "multi_head"
    """`multi_head` (arXiv:1706.03762) or `latent` (arXiv:2405.04434)."""
    num_heads: int = Field(default=8, ge=1, le=256)
    """Attention heads."""
    rotary_base: float = Field(default=10_000.0, ge=10.0, le=1e8)
    """Base of the rotary frequencies (RoFormer, arXiv:2104.09864)."""
    qk_norm: bool = False
    """RMS-normalise each query and key head before the rotation (arXiv:2302.05442)."""
    latent: LatentAttentionConfig = LatentAttentionConfig()
    """Sizes for `kind: latent`."""


class FeedForwardConfig(Config):
    """Mixture of experts with a top-k router."""

    hidden_size: int = Field(default=2048, ge=8, le=65_536)
    """Width of one expert, in channels."""
    activation: Literal["silu", "gelu", "squared_relu"] = "silu"
    """Non-linearity of an expert; `squared_relu` is arXiv:2109.08668."""
    num_experts: int = Field(default=8, ge=1, le=256)
    """Experts in a layer."""
    experts_per_token: int = Field(default=2, ge=1, le=16)
    """Experts that each token visits; at most `num_experts`."""
    router_noise: float = Field(default=0.1, ge=0.0, le=10.0)
    """Standard deviation of the noise on router logits while training."""
    load_balancing_weight: float = Field(default=0.01, ge=0.0, le=10.0)
    """Weight of the load-balancing loss (Switch Transformer, arXiv:2101.03961, eq. 4)."""


class ModelConfig(Config):
    """A decoder-only transformer."""

    vocab_size: int = Field(ge=2, le=1_000_000)
    """Entries of the embedding; at least the tokenizer's size."""
    hidden_size: int = Field(default=512, ge=8, le=16_384)
    """Width of the residual stream, in channels."""
    num_layers: int = Field(default=8, ge=1, le=256)
    """Transformer blocks."""
    dropout: float = Field(default=0.1, ge=0.0, lt=1.0)
    """Probability that a channel is dropped while training."""
    tie_embeddings: bool = True
    """Use the token embedding as the output matrix."""
    init_std: float = Field(default=0.02, gt=0.0, le=1.0)
    """Standard deviation of the normal initialisation."""
    attention: AttentionConfig = AttentionConfig()
    """Self-attention."""
    feed_forward: FeedForwardConfig = FeedForwardConfig()
    """Mixture of experts."""

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        attention, feed_forward = self.attention, self.feed_forward
        if attention.kind == "multi_head":
            if self.hidden_size % attention.num_heads:
                raise ValueError(
                    f"hidden_size {self.hidden_size} must be a multiple of "
                    f"attention.num_heads {attention.num_heads}"
                )
            head_dim = self.hidden_size // attention.num_heads
            if head_dim % 2:
                raise ValueError(
                    f"the head size hidden_size / attention.num_heads = {head_dim} must be even, "
                    "because rotary positions turn channels in pairs"
                )
        if feed_forward.experts_per_token > feed_forward.num_experts:
            raise ValueError(
                f"feed_forward.experts_per_token {feed_forward.experts_per_token} must be at most "
                f"feed_forward.num_experts {feed_forward.num_experts}"
            )
        return self


class MuonConfig(Config):
    """Muon, for hidden matrices and stacks of experts (kellerjordan.github.io/posts/muon)."""

    learning_rate: float = Field(default=0.04, gt=0.0, le=10.0)
    """Peak learning rate, before the factor sqrt(max(1, rows / columns))."""
    momentum: float = Field(default=0.95, ge=0.0, lt=1.0)
    """Decay of the momentum."""
    nesterov: bool = True
    """Nesterov momentum."""
    newton_schulz_steps: int = Field(default=5, ge=1, le=20)
    """Newton–Schulz iterations of the orthogonalisation."""
    weight_decay: float = Field(default=0.0, ge=0.0, le=10.0)
    """Decoupled weight decay, in units of the learning rate."""


class AdamWConfig(Config):
    """AdamW (arXiv:1711.05101), for embeddings, norms and routers."""

    learning_rate: float = Field(default=0.006, gt=0.0, le=1.0)
    """Peak learning rate."""
    beta1: float = Field(default=0.9, ge=0.0, lt=1.0)
    """Decay of the first moment."""
    beta2: float = Field(default=0.999, ge=0.0, lt=1.0)
    """Decay of the second moment."""
    epsilon: float = Field(default=1e-8, gt=0.0, le=1.0)
    """Added to the root of the second moment."""
    weight_decay: float = Field(default=0.2, ge=0.0, le=10.0)
    """Decoupled weight decay, in units of the learning rate."""


class OptimizerConfig(Config):
    """Muon and AdamW, each on its own parameters."""

    muon: MuonConfig = MuonConfig()
    """For hidden matrices."""
    adamw: AdamWConfig = AdamWConfig()
    """For everything else."""
    gradient_clip_norm: float = Field(default=1.0, gt=0.0, le=1e6)
    """Largest global L2 norm of the gradient; a larger one is scaled down to it."""


class ScheduleConfig(Config):
    """The learning rate over the share of the budget that is spent."""

    kind: Literal["cosine", "constant"] = "cosine"
    """Shape after the warm-up."""
    warmup_fraction: float = Field(default=0.05, ge=0.0, lt=1.0)
    """Share of the steps with a linear rise from zero."""
    final_fraction: float = Field(default=0.1, ge=0.0, le=1.0)
    """Learning rate at the end, as a share of the peak."""


class TrainingConfig(Config):
    """How the budget is spent."""

    tokens: int = Field(ge=1, le=10**13)
    """Training tokens; steps = tokens // (batch_size × sequence_length)."""
    batch_size: int = Field(default=16, ge=1, le=65_536)
    """Sequences in one optimizer step."""
    sequence_length: int = Field(default=1024, ge=8, le=65_536)
    """Tokens in one training sequence."""
    gradient_accumulation_steps: int = Field(default=1, ge=1, le=4096)
    """Equal parts into which a step's batch is cut to save memory; divides batch_size."""
    precision: Literal["bfloat16", "float32"] = "bfloat16"
    """Number format of the matrix products; weights and optimizer state stay float32."""
    early_stopping_evaluations: int = Field(default=0, ge=0, le=10_000)
    """Stop after this many evaluations without a better validation loss; 0 never stops early."""

    @property
    def tokens_per_step(self) -> int:
        """Tokens that one optimizer step reads."""
        return self.batch_size * self.sequence_length

    @property
    def num_steps(self) -> int:
        """Optimizer steps that the token budget pays for."""
        return self.tokens // self.tokens_per_step

    @model_validator(mode="after")
    def _steps_fit(self) -> Self:
        if self.batch_size % self.gradient_accumulation_steps:
            raise ValueError(
                f"batch_size {self.batch_size} must be a multiple of "
                f"gradient_accumulation_steps {self.gradient_accumulation_steps}"
            )
        if self.num_steps < 1:
            raise ValueError(
                f"batch_size × sequence_length = {self.tokens_per_step} tokens must be at most "
                f"tokens {self.tokens}, so that there is one step"
            )
        return self


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
