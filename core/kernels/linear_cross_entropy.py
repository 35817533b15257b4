"""Output matrix and softmax in one operation, so that few logits exist at a time (CUDA).

The gradient with respect to the logits is known as soon as the loss is, so the forward pass
computes both gradients of a chunk and drops its logits (as in Liger kernels, arXiv:2410.10989).
It has them as exponentials with a factor a row, see `triton_linear_cross_entropy.py`.
Shape suffixes: N tokens, C hidden channels, V vocabulary.
"""

from typing import Any

import torch
from torch import Tensor

from core.kernels.sizes import LOSS_CHUNK_TOKENS

IGNORED = -100
"""Target of a token that does not count."""


def fused_linear_cross_entropy(
    x_NC: Tensor, weight_VC: Tensor, targets_N: Tensor, soft_cap: float
) -> Tensor:
    """Mean cross-entropy over targets that are not `IGNORED`, in nats; float32 scalar.

    Args:
        x_NC: in the number format of the matrix products.
        weight_VC: its gradient is accumulated in float32.
        soft_cap: cap of the logits; 0 is none.
    """
    loss: Tensor = _loss_and_gradients(x_NC, weight_VC, targets_N, soft_cap)[0]
    return loss


def fused_linear_scores(
    x_NC: Tensor, weight_VC: Tensor, targets_N: Tensor, soft_cap: float
) -> tuple[Tensor, Tensor]:
    """Log-likelihood of each target, float32 [N], and whether its logit is the highest, [N]."""
    log_likelihood_N, is_top_N = _scores(x_NC, weight_VC, targets_N, soft_cap)
    return log_likelihood_N, is_top_N


@torch.library.custom_op("five_dollar::linear_cross_entropy", mutates_args=())
def _loss_and_gradients(
    x_NC: Tensor, weight_VC: Tensor, targets_N: Tensor, soft_cap: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Loss, gradient with respect to x but for a factor a row, those factors, weight's gradient."""
    from core.kernels.triton_linear_cross_entropy import exponentials_of_logits

    x_NC = x_NC.contiguous()
    count = (targets_N != IGNORED).sum()
    product_VC = weight_VC.to(x_NC.dtype)
    loss_N = x_NC.new_empty(x_NC.size(0), dtype=torch.float32)
    factor_N = torch.empty_like(loss_N)
    x_gradient_NC = torch.empty_like(x_NC)
    weight_gradient_VC: Tensor | None = None
    for start in range(0, x_NC.size(0), LOSS_CHUNK_TOKENS):
        rows = slice(start, start + LOSS_CHUNK_TOKENS)
        exponentials_NV, scaled_NC = exponentials_of_logits(
            x_NC[rows], product_VC, targets_N[rows], count, soft_cap, loss_N[rows], factor_N[rows]
        )
        torch.mm(exponentials_NV, product_VC, out=x_gradient_NC[rows])
        weight_gradient_VC = _add_product(weight_gradient_VC, exponentials_NV.mT, scaled_NC)
        # Before the next chunk's are allocated.
        del exponentials_NV
    assert weight_gradient_VC is not None, "there is at least one token"
    return loss_N.sum(), x_gradient_NC, factor_N, weight_gradient_VC.to(weight_VC.dtype)


def _add_product(total_VC: Tensor | None, left_VN: Tensor, right_NC: Tensor) -> Tensor:
    """Product in float32, added to the total if there is one: one of zeros would cost a pass."""
    if total_VC is None:
        return torch.mm(left_VN, right_NC, out_dtype=torch.float32)
    return torch.addmm(total_VC, left_VN, right_NC, out_dtype=torch.float32)


@_loss_and_gradients.register_fake
def _(
    x_NC: Tensor, weight_VC: Tensor, targets_N: Tensor, soft_cap: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    loss = x_NC.new_empty((), dtype=torch.float32)
    factor_N = x_NC.new_empty(x_NC.size(0), dtype=torch.float32)
    x_gradient_NC = torch.empty_like(x_NC, memory_format=torch.contiguous_format)
    return loss, x_gradient_NC, factor_N, torch.empty_like(weight_VC)


def _save_gradients(
    ctx: Any,
    inputs: tuple[Tensor, Tensor, Tensor, float],
    output: tuple[Tensor, Tensor, Tensor, Tensor],
) -> None:
    ctx.save_for_backward(*output[1:])


def _scale_gradients(
    ctx: Any, gradient: Tensor, *_: Tensor | None
) -> tuple[Tensor, Tensor, None, None]:
    x_gradient_NC, factor_N, weight_gradient_VC = ctx.saved_tensors
    return (
        (x_gradient_NC * (factor_N * gradient)[:, None]).type_as(x_gradient_NC),
        (weight_gradient_VC * gradient).type_as(weight_gradient_VC),
        None,
        None,
    )


_loss_and_gradients.register_autograd(_scale_gradients, setup_context=_save_gradients)


@torch.library.custom_op("five_dollar::linear_scores", mutates_args=())
def _scores(
    x_NC: Tensor, weight_VC: Tensor, targets_N: Tensor, soft_cap: float
) -> tuple[Tensor, Tensor]:
    from core.kernels.triton_scores import scores

    product_VC = weight_VC.to(x_NC.dtype)
    log_likelihood_N = x_NC.new_empty(x_NC.size(0), dtype=torch.float32)
    is_top_N = x_NC.new_empty(x_NC.size(0), dtype=torch.bool)
    for start in range(0, x_NC.size(0), LOSS_CHUNK_TOKENS):
        rows = slice(start, start + LOSS_CHUNK_TOKENS)
        logits_NV = x_NC[rows] @ product_VC.mT
        scores(logits_NV, targets_N[rows], soft_cap, log_likelihood_N[rows], is_top_N[rows])
        del logits_NV
    return log_likelihood_N, is_top_N


@_scores.register_fake
def _(x_NC: Tensor, weight_VC: Tensor, targets_N: Tensor, soft_cap: float) -> tuple[Tensor, Tensor]:
    num_tokens = x_NC.size(0)
    return (
        x_NC.new_empty(num_tokens, dtype=torch.float32),
        x_NC.new_empty(num_tokens, dtype=torch.bool),
    )
