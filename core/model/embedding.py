"""From token ids to what enters the first layer.

Shape suffixes: B batch, T time, C hidden channels.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.model.norm import rms_normalise
from core.schema.model_config import ModelConfig


class TokenEmbedding(nn.Embedding):
    """A table of embeddings, scaled and, if asked for, normalised."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config.vocab_size, config.hidden_size)
        self.scale = config.embedding_scale * math.sqrt(config.hidden_size)
        self.normalised = config.embedding_norm

    def forward(self, tokens_BT: Tensor) -> Tensor:
        """Int64 token ids [B, T] to float32 [B, T, C]."""
        x_BTC = super().forward(tokens_BT).float() * self.scale
        return rms_normalise(x_BTC) if self.normalised else x_BTC


class TokenSmearing(nn.Module):
    """Each embedding gets weight × sigmoid(gate · embedding) of the one before it.

    As in modded-nanogpt. Weight and gate start at zero, so that at first nothing is added.
    """

    def __init__(self, config: ModelConfig, separator_id: int) -> None:
        super().__init__()
        # One element and not a scalar, which fully sharded training refuses.
        self.weight = nn.Parameter(torch.zeros(1))
        self.gate_C = nn.Parameter(torch.zeros(config.hidden_size))
        self.separator_id = separator_id
        self.document_masking = config.attention.document_masking

    def forward(self, x_BTC: Tensor, tokens_BT: Tensor) -> Tensor:
        """Smear; the first token of a row has none before it.

        Under document masking, nor has the one after a separator, which begins a document.
        """
        share_BT = self.weight * (x_BTC[:, 1:] * self.gate_C).sum(dim=-1).sigmoid()
        if self.document_masking:
            share_BT = share_BT * (tokens_BT[:, :-1] != self.separator_id)
        return x_BTC + F.pad(share_BT[..., None] * x_BTC[:, :-1], (0, 0, 1, 0))
