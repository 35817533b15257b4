"""What a curve can show."""

from enum import StrEnum


class CurveMetric(StrEnum):
    """What a run measures of a step, by the column that keeps it."""

    TRAIN_LOSS = "train_loss"
    VAL_LOSS = "val_loss"
    VAL_ACCURACY = "val_accuracy"
    LEARNING_RATE = "learning_rate"
    ADAMW_LEARNING_RATE = "adamw_learning_rate"
    GRADIENT_NORM = "gradient_norm"
    TOKENS_PER_SECOND = "tokens_per_second"
    EXPERT_MAX_VIOLATION = "expert_max_violation"
    WORST_EXPERT_MAX_VIOLATION = "worst_expert_max_violation"
    IDLE_EXPERT_SHARE = "idle_expert_share"
