"""What a model thinks of given tokens.

Shape suffixes: B batch, T time.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from core.model.transformer import Transformer

Scorer = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Int64 tokens [B, T] to float32 log-likelihoods [B, T - 1] and bool top-1 hits [B, T - 1]."""


def next_token_scores(model: Transformer, tokens_BT: Tensor) -> tuple[Tensor, Tensor]:
    """Score each token but the first, given those before it.

    Returns:
        float32 log p(token t + 1 | tokens up to t) in nats, and whether that token has the
        highest logit; both [B, T - 1].
    """
    logits_BTV, _ = model(tokens_BT)
    logits_BTV = logits_BTV[:, :-1].float()
    targets_BT = tokens_BT[:, 1:]
    chosen_BT = logits_BTV.gather(-1, targets_BT[..., None]).squeeze(-1)
    log_likelihood_BT = chosen_BT - logits_BTV.logsumexp(dim=-1)
    return log_likelihood_BT, logits_BTV.argmax(dim=-1) == targets_BT


def scorer(
    model: Transformer,
    device: torch.device,
    precision: str,
    function: Callable[[Transformer, Tensor], tuple[Tensor, Tensor]] = next_token_scores,
) -> Scorer:
    """Scoring by a model in evaluation mode, without gradients, in the training precision.

    Args:
        function: `next_token_scores`, or a compiled form of it.
    """

    def score(tokens_BT: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad(), autocast(device, precision):
            return function(model, tokens_BT)

    return score


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Bfloat16 matrix products, or none of it for `float32`."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")
