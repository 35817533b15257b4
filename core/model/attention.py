"""Causal self-attention, and its multi-head kind (arXiv:1706.03762).

Shape suffixes: B batch, T time, C hidden channels, H heads, D head channels.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from core.model.masking import SequenceContext
from core.model.norm import RMSNorm
from core.model.rope import RotaryEmbedding
from core.model.softmax_attention import softmax_attention
from core.schema.model_config import ModelConfig

VALUE_EMBEDDING_WEIGHT = 0.5
"""Where the weight of a value embedding starts."""


class SelfAttention(nn.Module, ABC):
    """What every kind does with its queries, keys and values.

    A kind makes its own projections, calls `_add_output` and defines `_project`.
    """

    output: nn.Linear
    gate: nn.Linear | None
    value_embedding: nn.Embedding | None
    value_embedding_weight: nn.Parameter

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.num_heads = config.attention.num_heads
        self.window = config.attention.window(layer)
        self.dropout = config.dropout

    def forward(self, x_BTC: Tensor, context: SequenceContext) -> Tensor:
        """Attend within what `context` shows of the sequence; [B, T, C] to [B, T, C]."""
        q_BTHD, k_BTHD, v_BTHD = self._project(x_BTC)
        if self.value_embedding is not None:
            embedded_BTHD = self.value_embedding(context.tokens_BT).view(v_BTHD.shape)
            v_BTHD = (v_BTHD + self.value_embedding_weight * embedded_BTHD).type_as(v_BTHD)
        attended_BTHD = softmax_attention(
            q_BTHD,
            k_BTHD,
            v_BTHD,
            context.mask(self.window),
            self.dropout if self.training else 0.0,
        )
        if self.gate is not None:
            gate_BTHD = self.gate(x_BTC).float().sigmoid().unflatten(-1, (self.num_heads, -1))
            attended_BTHD = (attended_BTHD * gate_BTHD).type_as(attended_BTHD)
        output_BTC: Tensor = self.output(attended_BTHD.flatten(2))
        return output_BTC

    @abstractmethod
    def _project(self, x_BTC: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries and keys with their positions, and values; [B, T, H, D] each."""

    def _add_output(
        self, config: ModelConfig, layer: int, num_kv_heads: int, value_dim: int
    ) -> None:
        """Add what follows the projections.

        Args:
            num_kv_heads: heads of the values.
            value_dim: channels of each.
        """
        attention = config.attention
        attended_dim = attention.num_heads * value_dim
        self.output = nn.Linear(attended_dim, config.hidden_size, bias=False)
        self.gate = None
        if attention.output_gate != "none":
            gates = attended_dim if attention.output_gate == "channel" else attention.num_heads
            self.gate = nn.Linear(config.hidden_size, gates, bias=False)
        self.value_embedding = None
        if attention.has_value_embedding(layer):
            self.value_embedding = nn.Embedding(config.vocab_size, num_kv_heads * value_dim)
            # One element and not a scalar, which fully sharded training refuses.
            self.value_embedding_weight = nn.Parameter(torch.full((1,), VALUE_EMBEDDING_WEIGHT))


class MultiHeadAttention(SelfAttention):
    """Rotary positions and, if asked for, normalised queries and keys.

    Query heads may share key and value heads (arXiv:2305.13245). A merged matrix has the rows of
    all query heads, then those of the keys, then those of the values.
    """

    def __init__(self, config: ModelConfig, layer: int, max_sequence_length: int) -> None:
        super().__init__(config, layer)
        attention, head_dim = config.attention, config.head_dim
        num_kv_heads = self.num_heads // attention.query_heads_per_kv_head
        self.head_counts = (self.num_heads, num_kv_heads, num_kv_heads)
        self.is_merged = attention.projections == "merged"
        if self.is_merged:
            self.qkv = nn.Linear(config.hidden_size, sum(self.head_counts) * head_dim, bias=False)
        else:
            self.query = nn.Linear(config.hidden_size, self.num_heads * head_dim, bias=False)
            self.key = nn.Linear(config.hidden_size, num_kv_heads * head_dim, bias=False)
            self.value = nn.Linear(config.hidden_size, num_kv_heads * head_dim, bias=False)
        self._add_output(config, layer, num_kv_heads, head_dim)
        self.rotary = RotaryEmbedding(config.rotary_dim, max_sequence_length, attention.rotary_base)
        self.q_norm: nn.Module = nn.Identity()
        self.k_norm: nn.Module = nn.Identity()
        if attention.qk_norm:
            self.q_norm = RMSNorm(head_dim)
            self.k_norm = RMSNorm(head_dim)

    def _project(self, x_BTC: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q_BTHD, k_BTHD, v_BTHD = self._heads(x_BTC)
        return (
            self.rotary(self.q_norm(q_BTHD.float())).type_as(v_BTHD),
            self.rotary(self.k_norm(k_BTHD.float())).type_as(v_BTHD),
            v_BTHD,
        )

    def _heads(self, x_BTC: Tensor) -> tuple[Tensor, ...]:
        """Heads of queries, keys and values as the matrices give them."""
        if self.is_merged:
            heads_BTHD = self.qkv(x_BTC).unflatten(-1, (sum(self.head_counts), -1))
            heads: tuple[Tensor, ...] = heads_BTHD.split(self.head_counts, dim=2)
            return heads
        return tuple(
            projection(x_BTC).unflatten(-1, (count, -1))
            for projection, count in zip(
                (self.query, self.key, self.value), self.head_counts, strict=True
            )
        )
