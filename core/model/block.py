"""One layer: attention and feed-forward, each added to the residual stream.

Shape suffixes: B batch, T time, C hidden channels.
"""

import torch
from torch import Tensor, nn

from core.model.attention import MultiHeadAttention
from core.model.feed_forward import feed_forward
from core.model.latent_attention import LatentAttention
from core.model.masking import SequenceContext
from core.model.norm import RMSNorm
from core.schema.model_config import ModelConfig


class Block(nn.Module):
    """Attention f, then feed-forward f, on the stream x, by `norm_placement`.

    `pre`: x + f(norm(x)). `post`: norm(x + f(x)). `sandwich`: x + norm(f(norm(x))). Dropout acts
    on what is added to x.
    """

    def __init__(self, config: ModelConfig, layer: int, max_sequence_length: int) -> None:
        super().__init__()
        attention = LatentAttention if config.attention.kind == "latent" else MultiHeadAttention
        self.norms_sum = config.norm_placement == "post"
        self.attention_norm = RMSNorm(config.hidden_size)
        self.attention = attention(config, layer, max_sequence_length)
        self.feed_forward_norm = RMSNorm(config.hidden_size)
        self.feed_forward = feed_forward(config, layer)
        self.dropout = nn.Dropout(config.dropout)
        self.attention_output_norm: nn.Module = nn.Identity()
        self.feed_forward_output_norm: nn.Module = nn.Identity()
        if config.norm_placement == "sandwich":
            self.attention_output_norm = RMSNorm(config.hidden_size)
            self.feed_forward_output_norm = RMSNorm(config.hidden_size)

    def forward(self, x_BTC: Tensor, context: SequenceContext) -> tuple[Tensor, Tensor]:
        """Stream [B, T, C] to (stream, scalar auxiliary loss of the feed-forward).

        Sums and norms are float32; the stream keeps the format it comes in.
        """
        dtype = x_BTC.dtype
        if self.norms_sum:
            sum_BTC = x_BTC + self.dropout(self.attention(x_BTC, context)).float()
            x_BTC = self.attention_norm(sum_BTC).to(dtype)
            output_BTC, auxiliary = self.feed_forward(x_BTC)
            sum_BTC = x_BTC + self.dropout(output_BTC).float()
            return self.feed_forward_norm(sum_BTC).to(dtype), auxiliary
        output_BTC = self.attention(self.attention_norm(x_BTC), context)
        added_BTC = self.dropout(self.attention_output_norm(output_BTC))
        x_BTC = (x_BTC + added_BTC.float()).to(dtype)
        output_BTC, auxiliary = self.feed_forward(self.feed_forward_norm(x_BTC))
        added_BTC = self.dropout(self.feed_forward_output_norm(output_BTC))
        return (x_BTC + added_BTC.float()).to(dtype), auxiliary

    def zero_output(self) -> None:
        """Set the last matrix of attention and of feed-forward to zero (arXiv:2203.03466)."""
        with torch.no_grad():
            self.attention.output.weight.zero_()
        self.feed_forward.zero_output()
