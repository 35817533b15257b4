"""Which feed-forward network a layer has."""

from core.model.dense import DenseFeedForward
from core.model.moe import MixtureOfExperts
from core.schema.model_config import ModelConfig


def feed_forward(config: ModelConfig, layer: int) -> DenseFeedForward | MixtureOfExperts:
    """The network of a layer, by the pattern of the layers' kinds.

    Both kinds map [B, T, C] to ([B, T, C], scalar float32 auxiliary loss) and have `zero_output`.
    """
    if config.feed_forward.kind(layer) == "dense":
        return DenseFeedForward(config, config.feed_forward.dense_hidden_size)
    return MixtureOfExperts(config)
