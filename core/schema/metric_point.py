"""What a run reports on its way: the metrics of a step."""

from pydantic import Field

from core.schema.base import MAX_COUNT, Message


class MetricPoint(Message):
    """Training metrics of one optimizer step."""

    step: int = Field(ge=1, le=MAX_COUNT)
    """Optimizer steps done, counted from 1."""
    tokens: int = Field(ge=0, le=MAX_COUNT)
    """Training tokens read so far."""
    train_seconds: float = Field(ge=0.0)
    """Time in optimizer steps so far, in seconds."""
    train_loss: float
    """Mean next-token loss of the step's batch, in nats, without auxiliary losses."""
    learning_rate: float = Field(ge=0.0)
    """Muon's learning rate in this step."""
    adamw_learning_rate: float = Field(ge=0.0)
    """AdamW's learning rate in this step."""
    gradient_norm: float = Field(ge=0.0)
    """Global L2 norm of the gradient before clipping."""
    tokens_per_second: float = Field(ge=0.0)
    """Training speed since the point before."""
    val_loss: float | None = None
    """Validation loss after the step, where it was measured."""
    val_accuracy: float | None = Field(default=None, ge=0.0, le=1.0)
    """Top-1 accuracy after the step, where it was measured."""
    expert_max_violation: float | None = Field(default=None, ge=0.0)
    """By how much the step's busiest expert exceeds an even share, as a share of that (MaxVio,
    arXiv:2408.15664); mean over the layers with experts, None if there are none."""
    worst_expert_max_violation: float | None = Field(default=None, ge=0.0)
    """The same of the layer where it is largest."""
    idle_expert_share: float | None = Field(default=None, ge=0.0, le=1.0)
    """Share of all layers' experts that got less than a tenth of an even share in the step."""


EXPERT_LOAD = ("expert_max_violation", "worst_expert_max_violation", "idle_expert_share")
"""Numbers of a metric point that a dense model, or a worker from before them, does not tell."""
