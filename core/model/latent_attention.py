"""Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434, section 2.1).

Keys and values are expanded from one narrow vector a token; one rotary key is shared by all
heads. Shape suffixes: B batch, T time, C hidden channels, H heads, D head channels, R rank.
"""

import torch
from torch import Tensor, nn

from core.model.attention import SelfAttention
from core.model.norm import RMSNorm
from core.model.rope import RotaryEmbedding
from core.schema.model_config import ModelConfig


class LatentAttention(SelfAttention):
    """Self-attention over compressed keys and values."""

    def __init__(self, config: ModelConfig, layer: int, max_sequence_length: int) -> None:
        super().__init__(config, layer)
        attention, latent = config.attention, config.attention.latent
        self.plain_dim = latent.plain_head_dim
        self.rotary_dim = latent.rotary_head_dim
        self.value_dim = latent.value_head_dim
        query_dim = latent.plain_head_dim + latent.rotary_head_dim
        expanded_dim = latent.plain_head_dim + latent.value_head_dim
        self.query = nn.Linear(config.hidden_size, self.num_heads * query_dim, bias=False)
        self.compress = nn.Linear(
            config.hidden_size, latent.kv_rank + latent.rotary_head_dim, bias=False
        )
        self.compressed_norm = RMSNorm(latent.kv_rank)
        self.expand = nn.Linear(latent.kv_rank, self.num_heads * expanded_dim, bias=False)
        self._add_output(config, layer, self.num_heads, self.value_dim)
        self.rotary = RotaryEmbedding(self.rotary_dim, max_sequence_length, attention.rotary_base)
        self.q_norm: nn.Module = nn.Identity()
        self.k_norm: nn.Module = nn.Identity()
        if attention.qk_norm:
            self.q_norm = RMSNorm(query_dim)
            self.k_norm = RMSNorm(query_dim)

    def _project(self, x_BTC: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q_BTHD = self.query(x_BTC).unflatten(-1, (self.num_heads, -1))
        compressed_BTR, rotary_key_BTD = self.compress(x_BTC).split(
            (self.compressed_norm.normalized_shape[0], self.rotary_dim), dim=-1
        )
        expanded_BTHD = self.expand(self.compressed_norm(compressed_BTR.float())).unflatten(
            -1, (self.num_heads, -1)
        )
        plain_key_BTHD, v_BTHD = expanded_BTHD.split((self.plain_dim, self.value_dim), dim=-1)
        rotary_key_BTHD = rotary_key_BTD[:, :, None].expand(-1, -1, self.num_heads, -1)
        k_BTHD = torch.cat((plain_key_BTHD, rotary_key_BTHD), dim=-1)
        return (
            self._rotate(self.q_norm(q_BTHD.float())).type_as(v_BTHD),
            self._rotate(self.k_norm(k_BTHD.float())).type_as(v_BTHD),
            v_BTHD,
        )

    def _rotate(self, x_BTHD: Tensor) -> Tensor:
        """Rotate the last `rotary_dim` channels of each head."""
        plain_BTHD, rotary_BTHD = x_BTHD.split((self.plain_dim, self.rotary_dim), dim=-1)
        return torch.cat((plain_BTHD, self.rotary(rotary_BTHD)), dim=-1)
