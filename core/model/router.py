"""Choosing experts for each token.

Shape suffixes: N tokens, C hidden channels, E choices (experts, then zero-compute experts),
K choices a token makes.
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed import _functional_collectives as collectives

from core.schema.model_config import FeedForwardConfig


class Routing(NamedTuple):
    """Where tokens go."""

    weights_NK: Tensor
    """Float32 weight of each choice; a token's weights sum to 1."""
    experts_NK: Tensor
    """Int64 index of each choice, from the highest score down."""
    auxiliary_loss: Tensor
    """Float32 scalar, weighted: load-balancing loss and z-loss."""


class TopKRouter(nn.Module):
    """A linear gate whose highest scores win (arXiv:1701.06538), computed in float32.

    The highest logits win. Under `balancing: bias` (arXiv:2408.15664, eq. 3) the highest sums of
    score and bias win, where the score is the softmax over all logits, or the sigmoid; the bias
    enters no weight and has no gradient.
    """

    bias_E: Tensor
    """Float32, for `balancing: bias` alone; part of what a checkpoint must keep."""
    counts_E: Tensor
    """Int64 choices made in training mode since the last `forget_counts`; in no checkpoint."""

    def __init__(self, hidden_size: int, config: FeedForwardConfig) -> None:
        super().__init__()
        self.config = config
        self.gate = nn.Linear(hidden_size, config.num_choices, bias=False)
        counts_E = torch.zeros(config.num_choices, dtype=torch.int64)
        self.register_buffer("counts_E", counts_E, persistent=False)
        if config.balancing == "bias":
            self.register_buffer("bias_E", torch.zeros(config.num_choices))

    def forward(self, x_NC: Tensor) -> Routing:
        """Route tokens; while training, noise on the logits lets other experts be tried."""
        with torch.autocast(x_NC.device.type, enabled=False):
            clean_NE = F.linear(x_NC.float(), self.gate.weight.float())
        logits_NE = clean_NE
        if self.training and self.config.router_noise > 0:
            logits_NE = clean_NE + self.config.router_noise * torch.randn_like(clean_NE)
        # The softmax of log-sigmoids is the sigmoids divided by their sum, and never 0 / 0.
        softmax = self.config.router_scores == "softmax"
        scores_NE = logits_NE if softmax else F.logsigmoid(logits_NE)
        experts_NK = largest(self._rank(logits_NE.detach()), self.config.experts_per_token)
        chosen_NKE = experts_NK[..., None] == torch.arange(
            self.config.num_choices, device=x_NC.device
        )
        # A masked sum, because the gradient of a gather is a scatter.
        chosen_NK = torch.where(chosen_NKE, scores_NE[:, None], 0.0).sum(dim=-1)
        loss = self._balance(scores_NE, chosen_NKE)
        if self.config.router_z_loss_weight:
            loss = loss + self.config.router_z_loss_weight * z_loss(clean_NE)
        return Routing(chosen_NK.softmax(dim=-1), experts_NK, loss)

    @torch.no_grad()
    def update_bias(self) -> None:
        """Raise the bias of choices below the mean load and lower it above, by the rate.

        Call it after each optimizer step: the load is all choices that were counted, on all
        ranks. Nothing happens under `balancing: loss`.
        """
        if self.config.balancing == "loss":
            return
        counts_E = sum_over_ranks(self.counts_E)
        # In whole numbers: mean load - load, times the number of choices.
        shortfall_E = counts_E.sum() - counts_E * self.config.num_choices
        self.bias_E += self.config.bias_update_rate * shortfall_E.sign()

    def _rank(self, logits_NE: Tensor) -> Tensor:
        """What choices are ranked by; [N, E]."""
        if self.config.balancing == "loss":
            return logits_NE
        softmax = self.config.router_scores == "softmax"
        return (logits_NE.softmax(dim=-1) if softmax else logits_NE.sigmoid()) + self.bias_E

    def _balance(self, scores_NE: Tensor, chosen_NKE: Tensor) -> Tensor:
        """Count choices; the weighted load-balancing loss, zero under `balancing: bias`."""
        counts_E = chosen_NKE.sum(dim=(0, 1), dtype=torch.int32)
        if self.training:
            self.counts_E += counts_E
        if self.config.balancing == "bias":
            return scores_NE.new_zeros(())
        share_E = counts_E / chosen_NKE[..., 0].numel()
        if self.training and num_ranks() > 1:
            share_E = sum_over_ranks(share_E) / num_ranks()
        return self.config.load_balancing_weight * load_balancing_loss(scores_NE, share_E)


def largest(scores_NE: Tensor, count: int) -> Tensor:
    """Indices of the highest scores of each row, from the highest down; int64 [N, count].

    One argmax for each, which the compiler fuses with what is around it; `topk` is a kernel and
    a sort for each row.
    """
    choices_E = torch.arange(scores_NE.shape[-1], device=scores_NE.device)
    indices: list[Tensor] = []
    for _ in range(count):
        index_N1 = scores_NE.argmax(dim=-1, keepdim=True)
        scores_NE = scores_NE.masked_fill(choices_E == index_N1, -torch.inf)
        indices.append(index_N1)
    return torch.cat(indices, dim=-1)


def load_balancing_loss(scores_NE: Tensor, share_E: Tensor) -> Tensor:
    """Choices × Σ share of tokens × mean probability (arXiv:2101.03961, eq. 4).

    Args:
        scores_NE: their softmax is the probability of each choice.
        share_E: part of all choices that went to each; under data parallelism, on all ranks,
            so that the mean of the ranks' gradients is the gradient of the whole batch.
    """
    probability_E = scores_NE.softmax(dim=-1).mean(dim=0)
    return share_E.shape[0] * (share_E * probability_E).sum()


def z_loss(logits_NE: Tensor) -> Tensor:
    """Mean squared log-sum-exp of each token's logits (arXiv:2202.08906, eq. 5)."""
    normaliser_N = logits_NE.logsumexp(dim=-1)
    return (normaliser_N * normaliser_N).mean()


def forget_counts(routers: Iterable[TopKRouter]) -> None:
    """Begin to count anew, in place, for all routers at once."""
    counts = [router.counts_E for router in routers]
    if counts:
        torch._foreach_zero_(counts)


def num_ranks() -> int:
    """Processes that train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def sum_over_ranks(values_E: Tensor) -> Tensor:
    """Sum of all ranks' values, on every rank; without gradient."""
    if dist.group.WORLD is None or num_ranks() == 1:
        return values_E
    # Functional collectives, because these can be compiled.
    total_E: Tensor = collectives.all_reduce(values_E, "sum", dist.group.WORLD)
    return total_E
