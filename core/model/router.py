"""Choosing experts for each token.

Shape suffixes: N tokens, C hidden channels, E experts, K experts a token visits.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.schema.experiment import FeedForwardConfig


class Routing(NamedTuple):
    """Where tokens go."""

    weights_NK: Tensor
    """Float32 weight of each chosen expert; a token's weights sum to 1."""
    experts_NK: Tensor
    """Int64 index of each chosen expert."""
    load_balancing_loss: Tensor
    """Scalar, weighted; least when every expert gets the same share."""


class TopKRouter(nn.Module):
    """A linear gate whose highest logits win (arXiv:1701.06538), computed in float32."""

    def __init__(self, hidden_size: int, config: FeedForwardConfig) -> None:
        super().__init__()
        self.num_experts = config.num_experts
        self.experts_per_token = config.experts_per_token
        self.noise = config.router_noise
        self.load_balancing_weight = config.load_balancing_weight
        self.gate = nn.Linear(hidden_size, config.num_experts, bias=False)

    def forward(self, x_NC: Tensor) -> Routing:
        """Route tokens; while training, noise on the logits lets other experts be tried."""
        with torch.autocast(x_NC.device.type, enabled=False):
            logits_NE = F.linear(x_NC.float(), self.gate.weight)
        if self.training and self.noise > 0:
            logits_NE = logits_NE + self.noise * torch.randn_like(logits_NE)
        chosen_NK, experts_NK = logits_NE.topk(self.experts_per_token, dim=-1)
        return Routing(
            chosen_NK.softmax(dim=-1), experts_NK, self._load_balancing_loss(logits_NE, experts_NK)
        )

    def _load_balancing_loss(self, logits_NE: Tensor, experts_NK: Tensor) -> Tensor:
        """Experts × Σ share of tokens × mean probability (arXiv:2101.03961, eq. 4)."""
        share_E = F.one_hot(experts_NK, self.num_experts).float().mean(dim=(0, 1))
        probability_E = logits_NE.softmax(dim=-1).mean(dim=0)
        balance = self.num_experts * (share_E * probability_E).sum()
        return self.load_balancing_weight * balance
