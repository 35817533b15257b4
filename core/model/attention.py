"""Multi-head causal self-attention (arXiv:1706.03762).

Shape suffixes: B batch, T time, C hidden channels, H heads, D head channels.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from core.model.rope import RotaryEmbedding
from core.schema.experiment import ModelConfig

NORM_EPSILON = 1e-6


def causal_attention(q_BTHD: Tensor, k_BTHD: Tensor, v_BTHD: Tensor, dropout: float) -> Tensor:
    """Softmax attention of each position over itself and those before it; [B, T, H × D]."""
    attended_BHTD = F.scaled_dot_product_attention(
        q_BTHD.transpose(1, 2),
        k_BTHD.transpose(1, 2),
        v_BTHD.transpose(1, 2),
        dropout_p=dropout,
        is_causal=True,
    )
    return attended_BHTD.transpose(1, 2).flatten(2)


class MultiHeadAttention(nn.Module):
    """Self-attention with rotary positions and, if asked for, normalised queries and keys."""

    def __init__(self, config: ModelConfig, max_sequence_length: int) -> None:
        super().__init__()
        attention = config.attention
        head_dim = config.hidden_size // attention.num_heads
        self.num_heads = attention.num_heads
        self.dropout = config.dropout
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size, bias=False)
        self.output = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        self.rotary = RotaryEmbedding(head_dim, max_sequence_length, attention.rotary_base)
        self.q_norm: nn.Module = nn.Identity()
        self.k_norm: nn.Module = nn.Identity()
        if attention.qk_norm:
            self.q_norm = nn.RMSNorm(head_dim, eps=NORM_EPSILON)
            self.k_norm = nn.RMSNorm(head_dim, eps=NORM_EPSILON)

    def forward(self, x_BTC: Tensor) -> Tensor:
        """Attend; [B, T, C] to [B, T, C]."""
        qkv_BTHD = self.qkv(x_BTC).unflatten(-1, (3 * self.num_heads, -1))
        q_BTHD, k_BTHD, v_BTHD = qkv_BTHD.chunk(3, dim=2)
        attended_BTC = causal_attention(
            self.rotary(self.q_norm(q_BTHD.float())).type_as(v_BTHD),
            self.rotary(self.k_norm(k_BTHD.float())).type_as(v_BTHD),
            v_BTHD,
            self.dropout if self.training else 0.0,
        )
        output_BTC: Tensor = self.output(attended_BTC)
        return output_BTC
