"""From the last hidden vectors to logits, loss and scores.

Shape suffixes: N predictions, C hidden channels, V vocabulary.
"""

import torch.nn.functional as F
from torch import Tensor

from core.kernels.linear_cross_entropy import (
    IGNORED,
    fused_linear_cross_entropy,
    fused_linear_scores,
)
from core.kernels.selection import is_fused, product_format


def linear_logits(x_NC: Tensor, weight_VC: Tensor, soft_cap: float) -> Tensor:
    """Float32 logits [N, V]; the product follows autocast.

    Args:
        soft_cap: c in c × tanh(logits / c) (Gemma 2, arXiv:2408.00118); 0 is none.
    """
    logits_NV = F.linear(x_NC, weight_VC).float()
    if soft_cap == 0.0:
        return logits_NV
    return soft_cap * (logits_NV / soft_cap).tanh()


def linear_cross_entropy(
    x_NC: Tensor, weight_VC: Tensor, targets_N: Tensor, soft_cap: float
) -> Tensor:
    """Float32 mean of -log p(target), in nats, over the targets that are not ignored.

    Args:
        targets_N: int64 token ids, or `IGNORED`.
        soft_cap: as for `linear_logits`.
    """
    product_NC = x_NC.to(product_format(x_NC))
    if is_fused(product_NC):
        return fused_linear_cross_entropy(product_NC, weight_VC, targets_N, soft_cap)
    logits_NV = linear_logits(x_NC, weight_VC, soft_cap)
    return F.cross_entropy(logits_NV, targets_N, ignore_index=IGNORED)


def linear_scores(
    x_NC: Tensor, weight_VC: Tensor, targets_N: Tensor, soft_cap: float
) -> tuple[Tensor, Tensor]:
    """Float32 log p(target) in nats, and whether the target has the highest logit; both [N].

    Args:
        targets_N: int64 token ids.
        soft_cap: as for `linear_logits`.
    """
    product_NC = x_NC.to(product_format(x_NC))
    if is_fused(product_NC):
        return fused_linear_scores(product_NC, weight_VC, targets_N, soft_cap)
    logits_NV = linear_logits(x_NC, weight_VC, soft_cap)
    chosen_N = logits_NV.gather(-1, targets_N[:, None]).squeeze(-1)
    return chosen_N - logits_NV.logsumexp(dim=-1), logits_NV.argmax(dim=-1) == targets_N
