"""The network: a decoder-only transformer whose feed-forward layers are mixtures of experts.

Shape suffixes: B batch, T time, C hidden channels, V vocabulary.
"""

import math

import torch.nn.functional as F
from torch import Tensor, nn

from core.model.attention import NORM_EPSILON, MultiHeadAttention
from core.model.latent_attention import LatentAttention
from core.model.moe import MixtureOfExperts
from core.schema.experiment import ModelConfig


class Block(nn.Module):
    """Pre-norm attention and mixture of experts, each added to the residual stream."""

    def __init__(self, config: ModelConfig, max_sequence_length: int) -> None:
        super().__init__()
        attention = LatentAttention if config.attention.kind == "latent" else MultiHeadAttention
        self.attention_norm = nn.RMSNorm(config.hidden_size, eps=NORM_EPSILON)
        self.attention = attention(config, max_sequence_length)
        self.feed_forward_norm = nn.RMSNorm(config.hidden_size, eps=NORM_EPSILON)
        self.feed_forward = MixtureOfExperts(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x_BTC: Tensor) -> tuple[Tensor, Tensor]:
        """[B, T, C] to ([B, T, C], scalar load-balancing loss)."""
        x_BTC = x_BTC + self.dropout(self.attention(self.attention_norm(x_BTC)))
        output_BTC, balance = self.feed_forward(self.feed_forward_norm(x_BTC))
        return x_BTC + self.dropout(output_BTC), balance


class Transformer(nn.Module):
    """Token ids to logits.

    The residual stream, norms, router, softmax and loss are float32; matrix products follow
    autocast.
    """

    def __init__(self, config: ModelConfig, max_sequence_length: int) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.hidden_size)
        self.blocks = nn.ModuleList(
            Block(config, max_sequence_length) for _ in range(config.num_layers)
        )
        self.norm = nn.RMSNorm(config.hidden_size, eps=NORM_EPSILON)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        if config.tie_embeddings:
            self.head.weight = self.embedding.weight
        self._initialise(config.init_std)

    def _initialise(self, std: float) -> None:
        """Draw every matrix from a normal distribution, in the order of `named_parameters`."""
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=std)

    def forward(self, tokens_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Int64 token ids to (logits [B, T, V], scalar load-balancing loss of all layers)."""
        x_BTC = self.embedding(tokens_BT) * math.sqrt(self.config.hidden_size)
        x_BTC = self.dropout(x_BTC)
        balance = x_BTC.new_zeros(())
        for block in self.blocks:
            x_BTC, layer_balance = block(x_BTC)
            balance = balance + layer_balance
        logits_BTV = self.head(self.dropout(self.norm(x_BTC)))
        return logits_BTV, balance

    def losses(self, tokens_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Mean next-token loss of T - 1 predictions a row, in nats, and load-balancing loss."""
        logits_BTV, balance = self(tokens_BT)
        targets_BT = F.pad(tokens_BT[:, 1:], (0, 1), value=-100)
        loss = F.cross_entropy(logits_BTV.flatten(0, 1).float(), targets_BT.flatten())
        return loss, balance
