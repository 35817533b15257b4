"""What reaches a layer besides the output of the one before it.

Shape suffixes: B batch, T time, C hidden channels, L layers, S skip connections.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from core.schema.model_config import ModelConfig


class StreamConnections(nn.Module):
    """Mixing with the embedding (modded-nanogpt) and U-Net skips (arXiv:1505.04597), if asked for.

    The learned scalars start where both do nothing.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.num_layers = config.num_layers
        self.mixes = config.embedding_mix
        self.skips = config.skip_connections
        if self.mixes:
            self.stream_weights_L = nn.Parameter(torch.ones(config.num_layers))
            self.embedding_weights_L = nn.Parameter(torch.zeros(config.num_layers))
        if self.skips:
            self.skip_weights_S = nn.Parameter(torch.zeros(config.num_layers // 2))

    def forward(
        self, layer: int, x_BTC: Tensor, embedding_BTC: Tensor, entered: list[Tensor]
    ) -> Tensor:
        """What enters a layer.

        Args:
            x_BTC: what the layer before it gave, or the embedding.
            embedding_BTC: what entered the network.
            entered: what entered the layers of the first half; the layer's own is added to it.
        """
        own_weight: Tensor | None = None
        others: list[tuple[Tensor, Tensor]] = []
        if self.mixes:
            own_weight = self.stream_weights_L[layer]
            others.append((self.embedding_weights_L[layer], embedding_BTC))
        opposite = self.num_layers - 1 - layer
        if self.skips and opposite < layer:
            others.append((self.skip_weights_S[opposite], entered[opposite]))
        if others:
            x_BTC = self.weighted_sum(x_BTC, own_weight, others)
        if self.skips and layer < opposite:
            entered.append(x_BTC)
        return x_BTC

    def weighted_sum(
        self, x_BTC: Tensor, own_weight: Tensor | None, others: Sequence[tuple[Tensor, Tensor]]
    ) -> Tensor:
        """Sum of a stream, whose weight is 1 if it has none, and others with theirs."""
        sum_BTC = x_BTC if own_weight is None else own_weight * x_BTC
        for weight, other_BTC in others:
            sum_BTC = sum_BTC + weight * other_BTC
        return sum_BTC
