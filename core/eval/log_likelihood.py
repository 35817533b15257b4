"""What a model thinks of given tokens.

Shape suffixes: B batch, T time, C hidden channels, N = B × T.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from core.model.head import linear_scores
from core.model.transformer import Transformer

Scorer = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Int64 tokens [B, T] to float32 log-likelihoods [B, T - 1] and bool top-1 hits [B, T - 1]."""


def next_token_scores(model: Transformer, tokens_BT: Tensor) -> tuple[Tensor, Tensor]:
    """Score each token but the first, given those before it.

    Returns:
        float32 log p(token t + 1 | tokens up to t) in nats, and whether that token has the
        highest logit; both [B, T - 1].
    """
    x_BTC, _ = model.hidden(tokens_BT)
    # The last position of a row is scored against a made-up target and left out, so that no row
    # of the hidden vectors is copied.
    targets_BT = F.pad(tokens_BT[:, 1:], (0, 1))
    log_likelihood_N, is_top_N = linear_scores(
        x_BTC.flatten(0, 1), model.head.weight, targets_BT.flatten(), model.config.logit_soft_cap
    )
    scored_BT = log_likelihood_N.view_as(tokens_BT)[:, :-1]
    return scored_BT, is_top_N.view_as(tokens_BT)[:, :-1]


def scorer(
    model: Transformer,
    device: torch.device,
    precision: str,
    function: Callable[[Transformer, Tensor], tuple[Tensor, Tensor]] = next_token_scores,
) -> Scorer:
    """Scoring by a model in evaluation mode, without gradients, in the training precision.

    Args:
        function: `next_token_scores`, or a way to call it.
    """

    def score(tokens_BT: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad(), autocast(device, precision):
            return function(model, tokens_BT)

    return score


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Bfloat16 matrix products, or none of it for `float32`."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")
