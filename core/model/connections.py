"""What reaches a layer besides the output of the one before it.

Shape suffixes: B batch, T time, C hidden channels, L layers, S skip connections.
"""

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
        if self.mixes:
            x_BTC = self.stream_weights_L[layer] * x_BTC
            x_BTC = x_BTC + self.embedding_weights_L[layer] * embedding_BTC
        if self.skips:
            opposite = self.num_layers - 1 - layer
            if layer < opposite:
                entered.append(x_BTC)
            elif opposite < layer:
                x_BTC = x_BTC + self.skip_weights_S[opposite] * entered[opposite]
        return x_BTC
